"""The view against a program that behaves as `kubectl get --watch` does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from demo import watching
from demo.watching import View, watch
from localcluster import AnyCluster
from localcluster.images import Archive

PODS = "pods"
ENOUGH_SECONDS = 10.0


class Scripted(AnyCluster):
    """A cluster whose kubectl prints these lines and then stays, or ends."""

    def __init__(self, folder: Path, *lines: str, stays: bool = True) -> None:
        self._folder = folder
        events = folder / "events"
        events.write_text("".join(f"{line}\n" for line in lines))
        self.runs = folder / "runs"
        ending = "exec sleep 60" if stays else "exit 1"
        script = folder / "kubectl"
        script.write_text(f'#!/bin/sh\necho "$@" >> {self.runs}\ncat {events}\n{ending}\n')
        script.chmod(0o755)

    @property
    def kubeconfig(self) -> Path:
        return Path("kubeconfig")

    @property
    def kubectl_path(self) -> Path:
        return self._folder / "kubectl"

    @property
    def folder(self) -> Path:
        return self._folder

    def load_image(self, archive: Archive) -> str:
        return archive.name


def event(kind: str, name: str, **content: str) -> str:
    return json.dumps({"type": kind, "object": {"metadata": {"name": name}, **content}})


@asynccontextmanager
async def watched(cluster: AnyCluster) -> AsyncIterator[View]:
    view = View()
    task = asyncio.create_task(watch(cluster, view, kind=PODS, scope=("-n", "support")))
    try:
        yield view
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def names(view: View) -> list[str]:
    return [each["metadata"]["name"] for each in view.all(PODS)]


async def test_the_newest_object_of_each_name_is_seen(tmp_path: Path) -> None:
    lines = (
        event("ADDED", "b", state="old"),
        event("ADDED", "a"),
        event("MODIFIED", "b", state="new"),
    )
    async with watched(Scripted(tmp_path, *lines)) as view:
        assert await view.until(
            lambda now: [each.get("state") for each in now.all(PODS)] == [None, "new"],
            within_seconds=ENOUGH_SECONDS,
        )
        assert names(view) == ["a", "b"]


async def test_a_deleted_object_is_forgotten(tmp_path: Path) -> None:
    lines = (event("ADDED", "a"), event("ADDED", "b"), event("DELETED", "a"))
    async with watched(Scripted(tmp_path, *lines)) as view:
        assert await view.until(lambda now: names(now) == ["b"], within_seconds=ENOUGH_SECONDS)


async def test_a_watch_that_ends_begins_anew_with_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "RESTART_SECONDS", 0.01)
    cluster = Scripted(tmp_path, event("ADDED", "a"), stays=False)
    async with watched(cluster) as view:
        assert await view.until(lambda now: names(now) == ["a"], within_seconds=ENOUGH_SECONDS)
        async with asyncio.timeout(ENOUGH_SECONDS):
            while len(cluster.runs.read_text().splitlines()) < 2:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)
    first = cluster.runs.read_text().splitlines()[0]
    assert "get pods -n support --watch --output-watch-events -o json" in first


async def test_what_never_becomes_true_is_said_to_be_false() -> None:
    assert not await View().until(lambda now: bool(now.all(PODS)), within_seconds=0.01)
