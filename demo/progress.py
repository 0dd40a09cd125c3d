"""Lines on standard error for what takes long, each with the seconds since the demo began."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

STARTED = time.monotonic()


def seconds() -> float:
    """Return the seconds since the demo began."""
    return time.monotonic() - STARTED


def say(message: str) -> None:
    """Print one line of progress."""
    print(f"demo {seconds():6.1f} s  {message}", file=sys.stderr, flush=True)


@contextmanager
def step(doing: str) -> Iterator[None]:
    """Say what begins and, when it worked, how long it took."""
    began = time.monotonic()
    say(f"{doing} ...")
    yield
    say(f"{doing}: done in {time.monotonic() - began:.1f} s")
