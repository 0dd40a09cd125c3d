"""The agent's port: chat, end of a session, liveness, readiness."""

import re
import time
from typing import Annotated, Any
from uuid import uuid4

import structlog
from fastapi import APIRouter, FastAPI, HTTPException, Path
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.agent.layers import Layer
from agent_runtime.chat import Reply
from agent_runtime.errors import StoreUnavailableError
from agent_runtime.runtime import Runtime
from agent_runtime.sessions.ids import MAX_ID_CHARACTERS
from agent_runtime.web.body import BodyLimit
from agent_runtime.web.disconnect import ClientGoneError, WorkCancelledError, until_disconnect
from agent_runtime.web.headers import AnswerHeaders, has_pin
from agent_runtime.web.problems import add_problem_handlers
from agent_runtime.web.schema import (
    MAX_BODY_BYTES,
    MAX_BODY_SECONDS,
    MAX_MESSAGE_BYTES,
    ChatAnswer,
    ChatRequest,
    Problem,
)

CHAT_PATH = "/v1/chat"
CLIENT_CLOSED_REQUEST = 499
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 413, 422)
}


def create_app(runtime: Runtime) -> FastAPI:
    """Build the ASGI application of the agent's port."""
    app = FastAPI(title="agent_runtime", docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES, max_seconds=MAX_BODY_SECONDS)
    app.add_middleware(
        AnswerHeaders, revision=runtime.settings.identity.revision, readiness=runtime.readiness
    )

    def refused(request: Request) -> None:
        if request.url.path == CHAT_PATH and request.method == "POST":
            runtime.judge.reject(has_pin=has_pin(request))

    add_problem_handlers(app, refused=refused)
    app.include_router(_chat_routes(runtime))
    app.include_router(_probe_routes(runtime))
    return app


def _chat_routes(runtime: Runtime) -> APIRouter:
    router = APIRouter()

    @router.post(CHAT_PATH, response_model=ChatAnswer, responses=_PROBLEMS)
    async def chat(body: ChatRequest, request: Request) -> Response:
        """Answer one message: always with 200 once the request itself is in order."""
        if len(body.message.encode()) > MAX_MESSAGE_BYTES:
            raise HTTPException(413, f"the message is larger than {MAX_MESSAGE_BYTES} bytes")
        request_id = _request_id(request)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            reply = runtime.service.reply(
                body.message, session_id=body.session_id, has_pin=has_pin(request)
            )
            try:
                return _chat_answer(await until_disconnect(request, reply), request_id)
            except ClientGoneError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except WorkCancelledError:
                raise HTTPException(503, "this pod is shutting down; ask again") from None

    @router.post("/v1/sessions/{session_id}/end", status_code=204)
    async def end_session(
        session_id: Annotated[str, Path(max_length=MAX_ID_CHARACTERS)],
    ) -> Response:
        """Forget a conversation."""
        try:
            is_known = await runtime.conversations.end(session_id)
        except StoreUnavailableError:
            raise HTTPException(503, "the session store cannot be reached") from None
        if not is_known:
            raise HTTPException(404, "this agent has issued no such session id")
        return Response(status_code=204)

    return router


def _probe_routes(runtime: Runtime) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, object]:
        """Say that the event loop turns; touch nothing else."""
        return {
            "status": "alive",
            "uptime_seconds": round(time.monotonic() - runtime.started, 3),
        }

    @router.get("/ready")
    async def ready() -> JSONResponse:
        """Say whether traffic may come, and if not, why."""
        status = runtime.readiness.status
        return JSONResponse({"status": status}, status_code=200 if status == "ready" else 503)

    return router


def _chat_answer(reply: Reply, request_id: str) -> JSONResponse:
    answer = ChatAnswer(
        answer=reply.answer.text,
        session_id=reply.conversation.id.text,
        request_id=request_id,
        degraded=reply.answer.layer is not Layer.PRIMARY,
        layer=reply.answer.layer.value,
        chain_length=reply.answer.chain_length,
        warnings=reply.conversation.warnings,
    )
    return JSONResponse(answer.model_dump())


def _request_id(request: Request) -> str:
    """Take over a proxy's id if it is harmless in logs, so that traces join up."""
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex
