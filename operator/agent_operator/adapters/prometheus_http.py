"""The HTTP side of Prometheus: credentials, bounds, and answers that can be trusted in form.

Below `prometheus_api_client`, which has no limits and drops warnings, sits a transport of ours:
what reaches the library is a complete vector without warnings, or MetricsUnavailable is raised.
"""

import base64
import io
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter

from agent_operator.errors import MetricsUnavailable
from agent_operator.settings import Settings

ANSWER_BYTES = 10 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
CREDENTIAL_BYTES = 64 * 1024

_WORD = re.compile(r"[a-z_]{1,40}")
_REASONS = {
    400: "QueryRefused",
    401: "Unauthorized",
    403: "Unauthorized",
    404: "NotPrometheus",
    422: "QueryRefused",
    429: "Overloaded",
    503: "Overloaded",
}


def prometheus_client(settings: Settings) -> PrometheusConnect:
    """Return the library's client over our transport; only its `custom_query` is of use."""
    session = requests.Session()
    session.trust_env = False  # no proxies and no ~/.netrc from the environment
    session.verify = settings.prometheus_ca_file or True
    client = PrometheusConnect(
        url=settings.prometheus_url,
        session=session,
        method="POST",
        timeout=settings.prometheus_timeout_seconds,
    )
    transport = Transport(settings)
    for prefix in ("http://", "https://", settings.prometheus_url):
        session.mount(prefix, transport)  # the last replaces the library's own, which retries
    return client


class Transport(HTTPAdapter):
    """Sends a query without retries and redirects; reads a bounded answer and checks its form."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(max_retries=0, pool_maxsize=4)
        self._settings = settings

    def send(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        """Send one query; raise MetricsUnavailable for anything but a trustworthy vector."""
        deadline = time.monotonic() + self._settings.prometheus_timeout_seconds
        _move_query_to_body(request)
        request.headers["Accept-Encoding"] = "identity"  # nothing that unpacks to gigabytes
        request.headers.update(self._credentials())
        try:
            response = super().send(request, *args, **{**options, "stream": True})
            body = _read(response, deadline)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise MetricsUnavailable("TimedOut", "Prometheus did not answer in time") from error
        except requests.exceptions.SSLError as error:
            message = "the certificate of Prometheus is not trusted"
            raise MetricsUnavailable("TlsFailed", message) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            message = f"Prometheus cannot be reached ({type(error).__name__})"
            raise MetricsUnavailable("Unreachable", message) from error
        _check_status(response.status_code, body)
        _check_vector(body)
        response.raw = io.BytesIO(body)
        return response

    def _credentials(self) -> dict[str, str]:
        settings = self._settings
        headers = dict(header.split("=", 1) for header in settings.prometheus_headers)
        if settings.prometheus_token_file:
            token = _secret(settings.prometheus_token_file)
            return {**headers, "Authorization": f"Bearer {token}"}
        if settings.prometheus_username:
            if settings.prometheus_password is not None:
                password = settings.prometheus_password.get_secret_value()
            else:
                password = _secret(settings.prometheus_password_file or "")
            pair = f"{settings.prometheus_username}:{password}".encode()
            return {**headers, "Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return headers


def _secret(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            secret = file.read(CREDENTIAL_BYTES).strip()
    except (OSError, ValueError) as error:
        message = f"the credentials file {path} cannot be read ({type(error).__name__})"
        raise MetricsUnavailable("BadCredentials", message) from error
    if not secret or not secret.isprintable():
        message = f"the credentials file {path} does not hold one line of text"
        raise MetricsUnavailable("BadCredentials", message)
    return secret


def _move_query_to_body(request: requests.PreparedRequest) -> None:
    """Put the parameters where a long query fits: the library has them in the URL even for POST."""
    url, _, query = (request.url or "").partition("?")
    request.url = url
    request.body = query
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    request.prepare_content_length(query)


def _read(response: requests.Response, deadline: float) -> bytes:
    """Read the body as it comes, so that neither its size nor its pace can get out of bounds."""
    body = bytearray()
    with response:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > ANSWER_BYTES:
                message = f"Prometheus answered with more than {ANSWER_BYTES} bytes"
                raise MetricsUnavailable("AnswerTooLarge", message)
            if time.monotonic() > deadline:
                raise MetricsUnavailable("TimedOut", "Prometheus did not answer in time")
    return bytes(body)


def _check_status(status: int, body: bytes) -> None:
    if status == 200:
        return
    if 300 <= status < 400:
        message = f"Prometheus answered with a redirect (HTTP {status}), which is not followed"
        raise MetricsUnavailable("Redirected", message)
    # Of the body only Prometheus' own error type: what a proxy says may hold anything.
    said = _object(body).get("errorType")
    kind = f", {said}" if isinstance(said, str) and _WORD.fullmatch(said) else ""
    reason = _REASONS.get(status, "ServerError" if status >= 500 else "UnexpectedStatus")
    raise MetricsUnavailable(reason, f"Prometheus answered with HTTP {status}{kind}")


def _check_vector(body: bytes) -> None:
    answer = _object(body)
    if not answer:
        raise MetricsUnavailable("NotJson", "the answer of Prometheus is cut or not JSON")
    if answer.get("warnings"):
        message = "Prometheus answered with warnings: the result may be partial"
        raise MetricsUnavailable("PartialAnswer", message)
    match answer:
        case {"status": "success", "data": {"resultType": "vector", "result": list()}}:
            return
    message = "the answer of Prometheus is not a successful instant vector"
    raise MetricsUnavailable("UnexpectedResult", message)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
