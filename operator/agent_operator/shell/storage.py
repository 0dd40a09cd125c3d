"""kopf's storages, switched off: it must leave no trace on the objects."""

from collections.abc import Iterable
from typing import Any, cast

import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing of the objects; only handlers of changes would need it."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:
        """Return an empty essence: the copies kopf makes by default cost more than all the rest."""
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        """Return nothing remembered."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Keep the object untouched."""


class NoProgress(kopf.ProgressStorage):
    """Remembers no progress of handlers; the work queue retries."""

    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        """Return nothing remembered."""

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Keep the object untouched."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Keep the object untouched."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Keep the object untouched."""

    def clear(self, *, essence: Any) -> Any:
        """Return the essence itself: there is nothing of ours in it."""
        return cast(Any, essence)
