"""Errors of the operator: adapters and the API raise them, the work queue alone decides what follows.

`Retryable` comes back with back-off; `Terminal` waits until the object or the cluster changes.
"""

from __future__ import annotations

from collections.abc import Sequence


class OperatorError(Exception):
    """Root of everything the operator raises on purpose."""


class Retryable(OperatorError):
    """Something that may work when tried again unchanged."""


class Terminal(OperatorError):
    """Something that fails again until a person or the cluster changes it."""


class Conflict(Retryable):
    """The object changed, or another field manager owns the field; read it and decide again."""


class Throttled(Retryable):
    """The server asks for a pause.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ApiUnavailable(Retryable):
    """The API server did not answer in time, or answered with a server error."""


class NotFound(Terminal):
    """The object does not exist."""


class MissingApi(Terminal):
    """The cluster does not serve this kind, because its CustomResourceDefinition is not installed."""


class Forbidden(Terminal):
    """The API server refuses the operator's identity; its permissions are too narrow."""


class InvalidObject(Terminal, ValueError):
    """An object that cannot be used as it is: unreadable for us, or refused by the API server.

    `problems` holds one line per field, `spec.model.name: ...`, fit for a condition's message.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
