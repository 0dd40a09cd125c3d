"""Bodies of the agent's HTTP interface."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_MESSAGE_BYTES = 64 * 1024
# JSON may spend six bytes (\u0001) on one byte of text.
MAX_BODY_BYTES = 6 * MAX_MESSAGE_BYTES + 16 * 1024
MAX_BODY_SECONDS = 30.0


class ChatRequest(BaseModel):
    """One message of a conversation; without session_id, or with one not issued here, the first."""

    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, StringConstraints(min_length=1)]
    session_id: Annotated[str, StringConstraints(max_length=256)] | None = None


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
