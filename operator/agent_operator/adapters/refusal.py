"""What the API server's refusals mean: from HTTP status and Status object to our errors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_operator.errors import (
    AccessDenied,
    ApiUnavailable,
    Conflict,
    InvalidObject,
    MissingApi,
    NamespaceTerminating,
    NotFound,
    OperatorError,
    Throttled,
)

MESSAGE_CHARACTERS = 500


class Expired(ApiUnavailable):
    """The resourceVersion or the continue token is too old (410): list again from the start."""


_UNTYPED = "failed to create typed patch object"
_PLAIN: Mapping[int, type[OperatorError]] = {401: AccessDenied, 409: Conflict, 410: Expired}


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was not a success."""

    call: str
    is_secret: bool
    status: int
    retry_after: float | None


def refusal(refused: Refused, body: bytes) -> OperatorError:
    """Return the error that says what to do about the refusal."""
    status = _status_object(body)
    message = _message(refused, status)
    if refused.status == 403:
        return _forbidden(status, message)
    if refused.status == 404:
        return _absent(refused, status, message)
    if refused.status == 429:
        return Throttled(message, _pause(refused, status))
    if refused.status == 422 and _concerns_uid(status):
        return Conflict(message)  # an apply with the uid of an object that was replaced since
    if message.startswith(_UNTYPED):
        return InvalidObject(message)  # a field the kind does not have, which is answered with 500
    fallback = InvalidObject if 400 <= refused.status < 500 else ApiUnavailable
    return _PLAIN.get(refused.status, fallback)(message)


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:
        return {}  # a proxy's page or Go's "404 page not found"
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def _message(refused: Refused, status: Mapping[str, Any]) -> str:
    # The server quotes refused values; those of a Secret must not get into logs and conditions.
    said = status.get("reason" if refused.is_secret else "message") or f"HTTP {refused.status}"
    text = said if not refused.is_secret else f"{refused.call}: {said}"
    return text if len(text) <= MESSAGE_CHARACTERS else text[: MESSAGE_CHARACTERS - 1] + "…"


def _forbidden(status: Mapping[str, Any], message: str) -> OperatorError:
    causes = status.get("details", {}).get("causes") or ()
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return NamespaceTerminating(message)
    if ' is forbidden: User "' in str(status.get("message", "")) or not status:
        return AccessDenied(message)
    return InvalidObject(message)  # admission: quota, pod security, a policy of the platform


def _concerns_uid(status: Mapping[str, Any]) -> bool:
    causes = status.get("details", {}).get("causes") or ()
    return any(cause.get("field") == "metadata.uid" for cause in causes)


def _absent(refused: Refused, status: Mapping[str, Any], message: str) -> OperatorError:
    details = status.get("details", {})
    if not details.get("name"):
        return MissingApi(api_of(refused.call.split(" ", 1)[1]))
    if details.get("kind") == "namespaces":
        return NamespaceTerminating(message)
    return NotFound(message)


def api_of(path: str) -> str:
    """Return plural.group/version of a request path, as in `httproutes.example.org/v1`."""
    root, *parts = path.strip("/").split("/")
    group = parts.pop(0) if root == "apis" else ""
    version = parts.pop(0)
    plural = parts[2] if parts[0] == "namespaces" and len(parts) > 2 else parts[0]
    return f"{plural}.{group}/{version}" if group else f"{plural}/{version}"


def _pause(refused: Refused, status: Mapping[str, Any]) -> float:
    if refused.retry_after is not None:
        return refused.retry_after
    return float(status.get("details", {}).get("retryAfterSeconds") or 1.0)
