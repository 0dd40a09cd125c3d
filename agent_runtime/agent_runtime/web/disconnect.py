"""Ties the work for a request to its client: every token nobody will read costs money."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client closed its connection before the answer was ready."""


class WorkCancelledError(Exception):
    """The work was given up by this process, not by the client."""


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` gives; cancel it and raise ClientGoneError if the client leaves first,
    raise WorkCancelledError if somebody else cancelled it. The request's body must have been read.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.cancelled():
            raise WorkCancelledError
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
