"""The API server as people and other controllers use it: plain JSON objects, no typed clients."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes import config

_COLLECTIONS = {
    "agentdeployments": "/apis/agentdeploy.dev/v1alpha1",
    "configmaps": "/api/v1",
    "controllerrevisions": "/apis/apps/v1",
    "deployments": "/apis/apps/v1",
    "events": "/apis/events.k8s.io/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "httproutes": "/apis/gateway.networking.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "pods": "/api/v1",
    "replicasets": "/apis/apps/v1",
    "secrets": "/api/v1",
    "serviceaccounts": "/api/v1",
    "services": "/api/v1",
}
_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
TIMEOUT_SECONDS = 30.0


class Refused(Exception):  # noqa: N818 - an answer, not always a failure
    """The API server said no: its status code and its words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Objects:
    """Everything in one namespace; `manager` is the field manager of applies."""

    def __init__(self, kubeconfig: Path, namespace: str, *, manager: str = "test") -> None:
        self._client: Any = config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        # The hook reads the environment per request, from threads, while pytest changes it.
        self._client.configuration.refresh_api_key_hook = None
        self.namespace = namespace
        self._manager = manager

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def read(self, resource: str, name: str) -> dict[str, Any] | None:
        """Return an object, None when there is none of that name."""
        try:
            return self._request("GET", self._path(resource, name))
        except Refused as refusal:
            if refusal.code == 404:
                return None
            raise

    def found(self, resource: str, name: str) -> dict[str, Any]:
        """Return an object that must exist."""
        obj = self.read(resource, name)
        assert obj is not None, f"there is no {resource}/{name} in {self.namespace}"
        return obj

    def every(self, resource: str, selector: str = "") -> list[dict[str, Any]]:
        """Return all objects of a kind, those a label selector chooses if given."""
        query = {"labelSelector": selector} if selector else {}
        items: list[dict[str, Any]] = self._request("GET", self._path(resource), query)["items"]
        return items

    def names(self, resource: str, selector: str = "") -> set[str]:
        """Return the names of all objects of a kind."""
        return {obj["metadata"]["name"] for obj in self.every(resource, selector)}

    def create(self, resource: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        return self._request("POST", self._path(resource), body=manifest)

    def apply(self, resource: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Apply an object as `kubectl apply --server-side --force-conflicts` does."""
        query = {"fieldManager": self._manager, "force": "true"}
        path = self._path(resource, manifest["metadata"]["name"])
        return self._request("PATCH", path, query, body=manifest, content_type=_APPLY)

    def merge(
        self, resource: str, name: str, change: Mapping[str, Any], *, subresource: str = ""
    ) -> dict[str, Any]:
        """Send a merge patch to an object, or to its subresource."""
        path = "/".join(filter(None, (self._path(resource, name), subresource)))
        return self._request("PATCH", path, body=change, content_type=_MERGE)

    def delete(self, resource: str, name: str) -> None:
        """Delete an object in the background."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        self._request("DELETE", self._path(resource, name), body=options)

    def _path(self, resource: str, name: str = "") -> str:
        collection = f"{_COLLECTIONS[resource]}/namespaces/{self.namespace}/{resource}"
        return f"{collection}/{name}" if name else collection

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = _JSON,
    ) -> dict[str, Any]:
        call = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": _JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*call, _request_timeout=TIMEOUT_SECONDS)
        text: bytes = answer.read()
        if answer.status >= 400:
            raise Refused(answer.status, _words(text))
        result: dict[str, Any] = json.loads(text)
        return result


def _words(text: bytes) -> str:
    """Return what a refusal says; unknown paths are answered with plain text."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace")
