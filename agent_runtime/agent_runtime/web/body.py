"""Bounds a request's body while it is being read, in bytes and in time."""

import asyncio

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The rest of the body is not read: this connection cannot carry another request.
_CLOSE = {"connection": "close"}


class BodyLimit:
    """Middleware: reading the body raises 413 past `max_bytes` and 408 after `max_seconds`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a bounded `receive`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        left = -1 if announced.isdecimal() and int(announced) > self._max_bytes else self._max_bytes
        deadline = asyncio.get_running_loop().time() + self._max_seconds
        is_complete = False

        async def bounded_receive() -> Message:
            nonlocal left, is_complete
            if is_complete:
                return await receive()
            if left >= 0:
                message = await self._before(deadline, receive)
                left -= len(message.get("body", b""))
                is_complete = not message.get("more_body", False)
            if left < 0:
                detail = f"the body is larger than {self._max_bytes} bytes"
                raise HTTPException(413, detail, headers=_CLOSE)
            return message

        await self._app(scope, bounded_receive, send)

    async def _before(self, deadline: float, receive: Receive) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError:
            detail = f"the body did not arrive within {self._max_seconds} seconds"
            raise HTTPException(408, detail, headers=_CLOSE) from None
