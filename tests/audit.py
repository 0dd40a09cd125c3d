"""Requests as the API server itself counted them: the cluster's audit log, filtered and summed."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
# Questions about permissions are POSTs that store nothing.
_NOT_STORED = frozenset({"selfsubjectaccessreviews"})


class Write(NamedTuple):
    """One request that asked the API server to change something, refused ones included."""

    verb: str
    resource: str  # with its subresource, as in deployments/scale
    name: str
    code: int


@dataclass(frozen=True)
class AuditLog:
    """The audit log, read from `start` bytes on; the API server writes a line before it answers."""

    path: Path
    start: int = 0

    def from_now(self) -> "AuditLog":
        """Return the part of the log that is yet to be written."""
        return AuditLog(self.path, self.path.stat().st_size)

    def writes(self, *, user: str, namespace: str) -> list[Write]:
        """Return the writes of one user to objects of one namespace, in order."""
        return [_write(entry) for entry in self._entries() if _is_by(entry, user, namespace)]

    def counted(self, *, user: str, namespace: str) -> Counter[str]:
        """Return how often which verb was used on which resource."""
        writes = self.writes(user=user, namespace=namespace)
        return Counter(f"{write.verb} {write.resource}" for write in writes)

    def _entries(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(self.start)
            for line in log:
                if line.endswith(b"\n"):
                    yield json.loads(line)


def _is_by(entry: dict[str, Any], user: str, namespace: str) -> bool:
    target = entry.get("objectRef", {})
    return (
        entry["user"]["username"] == user
        and entry["verb"] in WRITE_VERBS
        and target.get("namespace") == namespace
        and target.get("resource") not in _NOT_STORED
    )


def _write(entry: dict[str, Any]) -> Write:
    target = entry["objectRef"]
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    code = entry.get("responseStatus", {}).get("code", 0)
    return Write(entry["verb"], resource, target.get("name", ""), code)
