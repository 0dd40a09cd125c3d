"""Progress lines on standard error: one for each long step, with its duration."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(message: str) -> None:
    """Print one line of progress."""
    print(f"localcluster: {message}", file=sys.stderr, flush=True)


@contextmanager
def step(doing: str, *, expected: str = "") -> Iterator[None]:
    """Say what begins (and how long it usually takes) and, when it worked, how long it took."""
    began = time.monotonic()
    say(f"{doing} ...{f' ({expected})' if expected else ''}")
    yield
    say(f"{doing}: done in {time.monotonic() - began:.1f} s")
