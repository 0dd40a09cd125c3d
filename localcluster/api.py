"""A few reads of the API server without any client library; everything else uses kubectl."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

TIMEOUT_SECONDS = 5.0
MAXIMUM_BYTES = 16 * 1024 * 1024


class Api:
    """Read objects with the token of a kubeconfig that this project wrote."""

    def __init__(self, kubeconfig: Path) -> None:
        """Read address, certificate authority and token from `kubeconfig`."""
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        self._server = cluster["server"]
        self._token = content["users"][0]["user"]["token"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)

    def read(self, path: str) -> dict[str, Any] | None:
        """Return the JSON object at `path`; None while there is none or no answer."""
        text = self._text(path)
        if text is None:
            return None
        loaded: dict[str, Any] = json.loads(text)
        return loaded

    def is_ready(self) -> bool:
        """Tell whether the API server says it is ready."""
        return self._text("/readyz") is not None

    def _text(self, path: str) -> str | None:
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self._server}{path}", headers=headers)  # noqa: S310 - our own https address
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                body: bytes = answer.read(MAXIMUM_BYTES)
        except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError):
            return None
        return body.decode()


def is_node_ready(node: dict[str, Any] | None) -> bool:
    """Tell whether a Node object has condition Ready=True."""
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
