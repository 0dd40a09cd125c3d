"""Why no model could answer, and what the user is told then."""

from enum import StrEnum

from openai import APIConnectionError, APIStatusError, RateLimitError

from agent_runtime.errors import UnusableAnswerError

_ABOUT_THE_REQUEST = frozenset({400, 413, 422})


class Failure(StrEnum):
    """Kind of a model's failure; the value is the field `reason` of log events."""

    RATE_LIMITED = "rate_limited"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    UNEXPECTED = "unexpected"


STATIC_TEXTS = {
    Failure.RATE_LIMITED: "The language model is overloaded right now, so I could not work on"
    " your message. Please send it again in a minute.",
    Failure.TIMED_OUT: "The language model took too long, so I could not finish an answer in time."
    " Please send your message again.",
    Failure.REFUSED: "The language model did not accept this message, so I could not work on it."
    " Please say it differently, or ask for a person if that does not help.",
    Failure.UNAVAILABLE: "The language model cannot be reached right now, so I could not work on"
    " your message. Please send it again in a few minutes.",
    Failure.UNEXPECTED: "Something went wrong while I worked on your message, and nothing was"
    " decided or changed. Please send it again in a few minutes.",
}


def failure_of(error: Exception) -> Failure:
    """Classify what a model call raised.

    Provider messages are left alone on purpose: they may quote the prompt or part of the key.
    """
    match error:
        case RateLimitError():
            return Failure.RATE_LIMITED
        case TimeoutError():
            return Failure.TIMED_OUT
        case APIStatusError(status_code=status) if status in _ABOUT_THE_REQUEST:
            return Failure.REFUSED
        case APIStatusError() | APIConnectionError() | UnusableAnswerError():
            return Failure.UNAVAILABLE
        case _:
            return Failure.UNEXPECTED
