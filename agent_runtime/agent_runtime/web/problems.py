"""Errors as problem documents (RFC 9457); they repeat a few keys at most of what was sent."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.web.schema import MAX_REPORTED_ERRORS

MAX_KEY_CHARACTERS = 64


def problem(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> JSONResponse:
    """Build an `application/problem+json` answer; `members` are extension members."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        document | {"detail": detail} | members,
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def add_problem_handlers(app: FastAPI, *, refused: Callable[[Request], None]) -> None:
    """Answer every refusal of the framework with a problem document, after telling `refused`."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        refused(request)
        return _invalid_body(error.errors())

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code < 500:
            refused(request)
        headers = dict(error.headers) if error.headers else None
        return problem(error.status_code, str(error.detail), headers=headers)


def _invalid_body(errors: Sequence[dict[str, Any]]) -> JSONResponse:
    if any(error["type"] == "json_invalid" for error in errors):
        return problem(400, "the body is not JSON")
    fields = [
        {"field": _field(error["loc"]), "reason": error["msg"]}
        for error in errors[:MAX_REPORTED_ERRORS]
    ]
    return problem(422, "the body does not have the expected form", errors=fields)


def _field(location: Sequence[str | int]) -> str:
    """Join a path of keys, each cut: an unknown key is the client's own text."""
    return ".".join(str(key)[:MAX_KEY_CHARACTERS] for key in location)
