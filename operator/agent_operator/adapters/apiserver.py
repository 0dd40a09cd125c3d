"""Requests to the API server: authenticated, bounded in time, size and number, errors as ours.

Everything in `adapters` that talks to Kubernetes goes through `ApiServer`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from agent_operator.adapters.connection import Connection
from agent_operator.adapters.refusal import MESSAGE_CHARACTERS, Refused, refusal
from agent_operator.errors import ApiUnavailable, OperatorError

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
CONCURRENT_REQUESTS = 32
ANSWER_BYTES = 64 * 1024 * 1024
REFUSAL_BYTES = 64 * 1024
LINE_BYTES = 16 * 1024 * 1024

_NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class AnswerTooLarge(ApiUnavailable):
    """The answer is larger than its limit; ask for less at once."""


class StreamIdle(ApiUnavailable):
    """Nothing arrived on a stream for longer than its server promises; open it again."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what of it differs between the operations."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    limit_bytes: int = ANSWER_BYTES

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class ApiServer:
    """One API server; `observe` hears verb and HTTP status (0: no answer) of every request."""

    def __init__(
        self,
        connection: Connection,
        *,
        observe: Callable[[str, int], None] = lambda verb, code: None,
    ) -> None:
        self._connection = connection
        self._observe = observe
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS)
        self._login = asyncio.Lock()

    async def request(self, call: Call) -> dict[str, Any]:
        """Return the decoded answer; raise one of `errors` for everything that is not a success."""
        limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        async with self._slots, self._answer(call, limits) as response:
            raw = await _bounded(response, call)
        try:
            answer = json.loads(raw)
        except ValueError as error:
            raise ApiUnavailable(f"{call}: the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ApiUnavailable(f"{call}: the answer is not an object")
        return answer

    async def lines(
        self, call: Call, *, total_seconds: float, idle_seconds: float
    ) -> AsyncIterator[bytes]:
        """Yield the lines of a stream until the server ends it.

        Raises StreamIdle when nothing at all arrives for `idle_seconds`.
        """
        limits = aiohttp.ClientTimeout(
            total=total_seconds, sock_connect=CONNECT_SECONDS, sock_read=idle_seconds
        )
        async with self._answer(call, limits) as response:
            buffer = bytearray()
            async for chunk in response.content.iter_any():
                *whole, rest = chunk.split(b"\n")
                for line in whole:
                    yield bytes(buffer + line)
                    buffer.clear()
                buffer += rest
                if len(buffer) > LINE_BYTES:
                    raise AnswerTooLarge(f"{call}: a line of more than {LINE_BYTES} bytes")

    @asynccontextmanager
    async def _answer(
        self, call: Call, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give the response of a successful request, its body still unread."""
        try:
            response = await self._send_authorized(call, limits)
            try:
                if response.status >= 300:
                    raise refusal_of(call, response, await _beginning(response))
                yield response
            finally:
                response.release()
        except OperatorError:
            raise
        except aiohttp.SocketTimeoutError as error:
            raise StreamIdle(f"{call}: nothing arrived in time") from error
        except _NETWORK_ERRORS as error:
            reason = f"{type(error).__name__}: {error}"
            raise ApiUnavailable(f"{call}: {reason}"[:MESSAGE_CHARACTERS]) from error

    async def _send_authorized(
        self, call: Call, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        used = await self._connection.authorization()
        response = await self._send(call, limits)
        if response.status != 401:
            return response
        response.release()  # refused before anything took effect: safe to send again
        async with self._login:
            if await self._connection.authorization() == used:
                await self._connection.reload()
        return await self._send(call, limits)

    async def _send(self, call: Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        client = self._connection.client
        method, url, headers, _, _ = await client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query.items()),
            header_params={"Accept": call.accept, "Content-Type": call.content_type},
            auth_settings=["BearerToken"],
        )
        status = 0
        try:
            answer = await client.call_api(
                method, url, headers, body=call.body, _request_timeout=limits
            )
            response: aiohttp.ClientResponse = answer.response
            status = response.status
        finally:
            self._observe(call.method, status)
        return response


async def _bounded(response: aiohttp.ClientResponse, call: Call) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > call.limit_bytes:
            raise AnswerTooLarge(f"{call}: an answer of more than {call.limit_bytes} bytes")
    return bytes(body)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= REFUSAL_BYTES:
            break
    return bytes(body[:REFUSAL_BYTES])


def refusal_of(call: Call, response: aiohttp.ClientResponse, body: bytes) -> OperatorError:
    """Return the error for an answer that is not a success."""
    retry_after = response.headers.get("Retry-After", "")
    return refusal(
        Refused(
            call=str(call),
            is_secret="/secrets" in call.path,
            status=response.status,
            retry_after=float(retry_after) if retry_after.isdecimal() else None,
        ),
        body,
    )
