"""Bodies of the agent's HTTP interface."""

from itertools import islice
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_MESSAGE_BYTES = 64 * 1024
# JSON may spend six bytes (\u0001) on one byte of text.
MAX_BODY_BYTES = 6 * MAX_MESSAGE_BYTES + 16 * 1024
MAX_BODY_SECONDS = 30.0
MAX_REPORTED_ERRORS = 10


class ChatRequest(BaseModel):
    """One message of a conversation; without session_id, or with one not issued here, the first."""

    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, StringConstraints(min_length=1)]
    session_id: Annotated[str, StringConstraints(max_length=256)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_keys(cls, body: object) -> object:
        """Drop the unknown keys that no report would name: each would cost an error of its own."""
        if not isinstance(body, dict):
            return body
        unknown = (key for key in body if key not in cls.model_fields)
        dropped = set(islice(unknown, MAX_REPORTED_ERRORS, None))
        return {key: value for key, value in body.items() if key not in dropped}


class ChatAnswer(BaseModel):
    """An answer; `degraded` when a lower layer than the primary model gave it."""

    answer: str
    session_id: str = Field(description="Send it with the next message of this conversation.")
    request_id: str
    degraded: bool
    layer: Literal["primary", "fallback", "static"]
    chain_length: int = Field(description="LLM calls that led to this answer.")
    warnings: list[str]


class Problem(BaseModel):
    """A refused request, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
