"""The HTTP client below the SDK: reads no more of a provider's answer than an answer can be."""

from typing import Any

import httpx2
from openai import DefaultAsyncHttpxClient

from agent_runtime.errors import UnusableAnswerError

MAX_RESPONSE_BYTES = 1024 * 1024
# They describe what came over the wire; the body given on is plain and has a length of its own.
_WIRE_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class BoundedClient(DefaultAsyncHttpxClient):
    """Raises UnusableAnswerError once a body, unpacked, is too large, error bodies included."""

    def __init__(self) -> None:
        # A redirect is no answer, and the prompt goes where the settings say and nowhere else.
        super().__init__(follow_redirects=False)

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **options: Any
    ) -> httpx2.Response:
        """Send and read the answer as it comes; `stream` changes nothing."""
        response = await super().send(request, stream=True, **options)
        try:
            body = await _bounded_body(response)
        finally:
            await response.aclose()
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name.lower() not in _WIRE_HEADERS
        ]
        return httpx2.Response(
            response.status_code,
            headers=headers,
            content=body,
            request=request,
            extensions=response.extensions,
        )


async def _bounded_body(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise UnusableAnswerError(f"the answer is larger than {MAX_RESPONSE_BYTES} bytes")
    return bytes(body)
