"""Headers that tie clients to revisions and let go of connections when the pod drains."""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_runtime.web.readiness import Readiness

REVISION_HEADER = "x-agent-revision"


def has_pin(request: Request) -> bool:
    """Tell whether the client names the revision it wants, by header or cookie."""
    return REVISION_HEADER in request.headers or REVISION_HEADER in request.cookies


class AnswerHeaders:
    """Middleware: names the revision on every answer below /v1, closes connections in a drain."""

    def __init__(self, app: ASGIApp, *, revision: str, readiness: Readiness) -> None:
        self._app = app
        self._revision = revision
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the head of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._complete(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _complete(self, headers: MutableHeaders, path: str) -> None:
        if path.startswith("/v1/"):
            headers[REVISION_HEADER] = self._revision
        if self._readiness.is_draining:
            # A proxy's kept connection would bring new requests to a pod that is leaving.
            headers["connection"] = "close"
