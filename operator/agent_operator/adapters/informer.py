"""Follows owned objects: list and watch per kind, told to a `ports.ChildListener`.

Level-triggered: after any gap the kind is listed again, so a missed watch event only costs time.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agent_operator.adapters.apiserver import JSON, ApiServer, Call, StreamIdle
from agent_operator.adapters.listing import METADATA, Selection, pages
from agent_operator.adapters.refusal import Expired
from agent_operator.domain.backoff import Backoff
from agent_operator.domain.manifest import Kind, ObjectRef
from agent_operator.domain.naming import LABEL_MANAGED_BY, MANAGED_BY
from agent_operator.errors import (
    AccessDenied,
    ApiUnavailable,
    MissingApi,
    OperatorError,
    Throttled,
)
from agent_operator.ports import ChildListener

log = structlog.get_logger(__name__)

FOLLOWED = tuple(kind for kind in Kind if kind is not Kind.SECRET)  # Secrets are never listed
OPTIONAL = frozenset({Kind.ROUTE})  # agents without traffic rules work without it
RECONNECT = Backoff(base_seconds=0.5, cap_seconds=10.0)


@dataclass(frozen=True, slots=True)
class Timing:
    """Pauses and limits of following, in seconds."""

    idle_seconds: float = 70.0  # the server sends a bookmark every minute
    stream_seconds: float = 600.0  # a watch is opened anew after half to all of this
    absent_seconds: float = 30.0  # between looks for an API or a permission that is not there
    backoff: Backoff = RECONNECT


@dataclass(frozen=True, slots=True)
class Scope:
    """What is followed: `namespaces` empty means all; of some kinds metadata may be enough."""

    namespaces: Sequence[str] = ()
    kinds: Sequence[Kind] = FOLLOWED
    metadata_only: Collection[Kind] = ()

    def selections(self) -> Iterable[tuple[Kind, Selection]]:
        """Return what to list and watch, one by one."""
        for kind in self.kinds:
            for namespace in self.namespaces or (None,):
                yield (
                    kind,
                    Selection(
                        kind.value,
                        namespace,
                        label_selector=f"{LABEL_MANAGED_BY}={MANAGED_BY}",
                        metadata_only=kind in self.metadata_only,
                    ),
                )


class Informer:
    """Follows owned objects and tells `listener`; `run` never ends by itself."""

    def __init__(
        self,
        server: ApiServer,
        listener: ChildListener,
        *,
        scope: Scope = Scope(),
        timing: Timing = Timing(),
    ) -> None:
        self.synced = asyncio.Event()
        one_list_is_all = len(scope.namespaces) < 2
        self._followers = [
            _Follower(
                server,
                _Teller(listener, kind, None if one_list_is_all else selection.namespace),
                selection=selection,
                timing=timing,
                on_sync=self._note_sync,
            )
            for kind, selection in scope.selections()
        ]

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for follower in self._followers:
                group.create_task(follower.run(), name=f"follow {follower.selection.path}")

    def has_synced(self, kind: Kind) -> bool:
        """Whether every object of the kind that existed at the start has been told."""
        return all(one.is_synced for one in self._followers if one.kind is kind)

    @property
    def problems(self) -> dict[str, str]:
        """Return what keeps kinds from being followed, by API path."""
        return {one.selection.path: one.problem for one in self._followers if one.problem}

    def stalest_seconds(self) -> float:
        """Return how long ago the quietest watch last showed a sign of life.

        Answers, bookmarks and failed attempts all count: beyond a few minutes its task is stuck.
        """
        now = time.monotonic()
        return max((now - one.active_at for one in self._followers), default=0.0)

    def _note_sync(self) -> None:
        if all(one.is_synced for one in self._followers):
            self.synced.set()


@dataclass(frozen=True, slots=True)
class _Teller:
    """The listener as one follower sees it."""

    listener: ChildListener
    kind: Kind
    namespace: str | None  # set when lists are of one namespace among several

    def replace(self, objects: Sequence[dict[str, Any]]) -> None:
        if self.namespace is None:
            self.listener.replace(self.kind, objects)
        else:
            self.listener.replace(self.kind, objects, namespace=self.namespace)

    def forget(self, obj: dict[str, Any]) -> None:
        self.listener.forget(ObjectRef.of(obj), obj["metadata"]["uid"])


class _Follower:
    """One list and watch, for ever."""

    def __init__(
        self,
        server: ApiServer,
        teller: _Teller,
        *,
        selection: Selection,
        timing: Timing,
        on_sync: Callable[[], None],
    ) -> None:
        self.selection = selection
        self.kind = teller.kind
        self.is_synced = False
        self.problem = ""
        self.active_at = time.monotonic()
        self._server = server
        self._teller = teller
        self._timing = timing
        self._on_sync = on_sync
        self._version = ""  # where the next watch starts; empty: list first
        self._failures = 0
        self._expirations = 0

    async def run(self) -> None:
        """List and watch until cancelled; whatever goes wrong ends in a pause."""
        while True:
            self.active_at = time.monotonic()
            pause = await self._follow_once()
            if pause:
                await asyncio.sleep(pause)

    async def _follow_once(self) -> float:
        """List if need be, watch until the stream ends; return the pause before the next time."""
        try:
            if not self._version:
                await self._list()
            return await self._watch()
        except MissingApi as error:
            return self._without(str(error))
        except AccessDenied as error:
            problem = f"{error}: grant it to the operator's ServiceAccount"
            return self._without(problem) if self.kind in OPTIONAL else self._stopped(problem)
        except Exception as error:  # after any surprise a fresh list is right
            return self._failed(error)

    async def _list(self) -> None:
        objects, version = [], ""
        async for page in pages(self._server, self.selection):
            objects += page.items
            version = page.resource_version
            self.active_at = time.monotonic()
        self._teller.replace(objects)
        self._version = version
        self.problem = ""
        self._mark_synced()

    async def _watch(self) -> float:
        seconds = self._timing.stream_seconds * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        query = self.selection.query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=self._version,
            timeoutSeconds=str(int(seconds) or 1),
        )
        accept = METADATA if self.selection.metadata_only else JSON
        began = time.monotonic()
        try:
            async for line in self._server.lines(
                Call("GET", self.selection.path, query, accept=accept),
                total_seconds=seconds + self._timing.idle_seconds,
                idle_seconds=self._timing.idle_seconds,
            ):
                self._take(json.loads(line))
        except StreamIdle:
            return 0.0
        if time.monotonic() - began >= 1.0:
            return 0.0
        return self._pause()  # a server that hangs up at once must not be called in a loop

    def _take(self, event: dict[str, Any]) -> None:
        kind_of_event, obj = event["type"], event["object"]
        if kind_of_event == "ERROR":
            self._version = ""
            message = str(obj.get("message"))
            raise Expired(message) if obj.get("code") == 410 else ApiUnavailable(message)
        self.active_at = time.monotonic()
        self._recovered()
        self._version = obj["metadata"]["resourceVersion"]
        if kind_of_event == "DELETED":
            self._teller.forget(self.selection.named(obj))
        elif kind_of_event != "BOOKMARK":
            self._teller.listener.observe(self.selection.named(obj))

    def _mark_synced(self) -> None:
        if not self.is_synced:
            self.is_synced = True
            self._on_sync()

    def _without(self, problem: str) -> float:
        """Go on without the kind: to the listener there are no such objects."""
        self._teller.replace(())
        self._mark_synced()
        return self._stopped(problem)

    def _stopped(self, problem: str) -> float:
        if problem != self.problem:
            log.warning("watch.stopped", path=self.selection.path, problem=problem)
        self.problem = problem
        self._version = ""
        return self._timing.absent_seconds * random.uniform(0.75, 1.0)  # noqa: S311 - no secret

    def _failed(self, error: Exception) -> float:
        if isinstance(error, Expired):
            return self._expired()
        if not isinstance(error, ApiUnavailable | Throttled):
            self._version = ""
        pause = self._pause()
        if isinstance(error, Throttled):
            pause = max(pause, error.retry_after)
        if self._failures == 1:  # the others would say the same
            log.warning(
                "watch.failed",
                path=self.selection.path,
                error=f"{type(error).__name__}: {error}",
                exc_info=None if isinstance(error, OperatorError) else error,
            )
        return pause

    def _expired(self) -> float:
        """List again soon: it is the way of the world, and after an outage the first answer."""
        self._version = ""
        self._expirations += 1
        log.info("watch.expired", path=self.selection.path)
        return self._timing.backoff.seconds(self._expirations, random.random())  # noqa: S311

    def _pause(self) -> float:
        self._failures += 1
        return self._timing.backoff.seconds(self._failures, random.random())  # noqa: S311

    def _recovered(self) -> None:
        if self._failures > 1:
            log.info("watch.resumed", path=self.selection.path, failures=self._failures)
        self._failures = self._expirations = 0
