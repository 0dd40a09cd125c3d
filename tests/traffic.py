"""The demo's customers, talking in the background of a test that waits for something else."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from demo.tally import Tally
from demo.traffic import Pace, Traffic


@contextmanager
def customers(url: str, pace: Pace) -> Iterator[Tally]:
    """Let customers talk to the agent behind a URL until the block ends; give what they see."""
    traffic, stopped = Traffic(url, pace), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_talk(traffic, stopped)))
    thread.start()
    try:
        yield traffic.tally
    finally:
        stopped.set()
        thread.join()


async def _talk(traffic: Traffic, stopped: threading.Event) -> None:
    talking = asyncio.create_task(traffic.run())
    await asyncio.to_thread(stopped.wait)
    talking.cancel()
    await asyncio.wait([talking])
