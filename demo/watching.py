"""What the cluster says, live: `kubectl get --watch` per kind, kept as the newest object per name.

Nothing the demo shows or decides comes from anywhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from demo.cluster import kubectl_command
from demo.errors import DemoError
from localcluster import AnyCluster

Manifest = Mapping[str, Any]

MAX_OBJECT_BYTES = 4 << 20
RESTART_SECONDS = 1.0


class View:
    """The newest objects by kind and name; `until` waits for something to be true of them."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Manifest]] = {}
        self._changed = asyncio.Condition()

    def all(self, kind: str) -> list[Manifest]:
        """Return all objects of a kind, by name."""
        return [found for _, found in sorted(self._objects.get(kind, {}).items())]

    def one(self, kind: str, name: str) -> Manifest | None:
        """Return one object, None when there is none."""
        return self._objects.get(kind, {}).get(name)

    async def forget(self, kind: str) -> None:
        """Forget a kind: its watch begins anew with a complete list."""
        async with self._changed:
            self._objects[kind] = {}

    async def take(self, kind: str, event: Manifest) -> None:
        """Take in one watch event."""
        name = event["object"]["metadata"]["name"]
        async with self._changed:
            known = self._objects.setdefault(kind, {})
            if event["type"] == "DELETED":
                known.pop(name, None)
            else:
                known[name] = event["object"]
            self._changed.notify_all()

    async def until(self, holds: Callable[[View], bool], *, within_seconds: float) -> bool:
        """Wait until `holds`; False when it does not in time."""
        try:
            async with asyncio.timeout(within_seconds), self._changed:
                await self._changed.wait_for(lambda: holds(self))
        except TimeoutError:
            return False
        return True


async def watch(cluster: AnyCluster, view: View, *, kind: str, scope: tuple[str, ...]) -> None:
    """Keep `view` up to date with one kind until cancelled; starts again when kubectl ends."""
    while True:
        await view.forget(kind)
        arguments = ("get", kind, *scope, "--watch", "--output-watch-events", "-o", "json")
        process = await asyncio.create_subprocess_exec(
            *kubectl_command(cluster, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=MAX_OBJECT_BYTES,
        )
        if process.stdout is None:
            raise DemoError("kubectl was started without a pipe")
        try:
            async for event in _events(process.stdout):
                await view.take(kind, event)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.sleep(RESTART_SECONDS)


async def _events(stream: asyncio.StreamReader) -> AsyncIterator[Manifest]:
    """Read kubectl's watch events: JSON, one in each line."""
    async for line in stream:
        yield json.loads(line)
