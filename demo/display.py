"""Shows the tree while the story runs: live on a terminal, else once for each change."""

from __future__ import annotations

import asyncio
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from demo.progress import seconds
from demo.reading import Objects, Picture, picture
from demo.tally import Tally
from demo.tree import Margin, frame

FRAMES_PER_SECOND = 4
ROOMY_LINES = 40


async def show(objects: Objects, tally: Tally, console: Console) -> None:
    """Draw until cancelled; the last frame stays on the screen."""
    screen = _Screen(objects, tally, console)
    if console.is_terminal:
        await _show_live(screen, console)
    else:
        await _print_changes(screen, console)


class _Screen:
    """The newest picture, and what it needs to know of revisions that are gone."""

    def __init__(self, objects: Objects, tally: Tally, console: Console) -> None:
        self._objects = objects
        self._tally = tally
        self._console = console
        self._prompts: dict[str, str] = {}

    def picture(self) -> Picture | None:
        """Return what is there now."""
        seen = picture(self._objects)
        if seen is not None:
            self._prompts |= {each.revision: each.prompt for each in seen.revisions}
        return seen

    def frame(self, seen: Picture) -> RenderableType:
        """Draw a picture."""
        is_narrow = self._console.is_terminal and self._console.height < ROOMY_LINES
        return frame(seen, self._tally, Margin(self._prompts, seconds(), is_narrow))


async def _show_live(screen: _Screen, console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                _draw(live, screen)
                await asyncio.sleep(1 / FRAMES_PER_SECOND)
        finally:
            _draw(live, screen)


def _draw(live: Live, screen: _Screen) -> None:
    seen = screen.picture()
    if seen is not None:
        live.update(screen.frame(seen), refresh=True)


async def _print_changes(screen: _Screen, console: Console) -> None:
    shown: tuple[Any, ...] = ()
    decided = ""
    while True:
        seen = screen.picture()
        if seen is not None and _milestone(seen) != shown:
            shown, decided = _milestone(seen), _decision(seen)
            console.print("", screen.frame(seen), soft_wrap=True)
        elif seen is not None and _decision(seen) != decided:
            decided = _decision(seen)
            console.print(f"{seconds():6.1f} s  {decided}", soft_wrap=True, highlight=False)
        await asyncio.sleep(1 / FRAMES_PER_SECOND)


def _milestone(seen: Picture) -> tuple[Any, ...]:
    """What a whole new tree is printed for: another state, step, weight or revision."""
    status, rollout = seen.status, seen.status.rollout
    where = (rollout.state, rollout.step, rollout.weight) if rollout else ()
    return (status.phase, *where, status.stable_revision, status.candidate_revision)


def _decision(seen: Picture) -> str:
    """Return the last decision without its numbers, which change with every evaluation."""
    decision = seen.status.last_decision
    return "" if decision is None else f"{decision.action} {decision.reason}"
