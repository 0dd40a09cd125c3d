"""Errors of the operator: adapters and the API raise them.

The controller turns what a person can fix into a condition; whatever else ends a pass comes back
with back-off. `Retryable` may work unchanged, `Terminal` needs a change of object or cluster.
Messages are safe to show to users: bounded, and without secrets.
"""

from __future__ import annotations

from collections.abc import Sequence


class OperatorError(Exception):
    """Root of everything the operator raises on purpose."""


class Retryable(OperatorError):  # noqa: N818 - the class of errors, not one of them
    """Something that may work when tried again unchanged."""


class Terminal(OperatorError):  # noqa: N818 - the class of errors, not one of them
    """Something that fails again until a person or the cluster changes it."""


class ApiUnavailable(Retryable):
    """The API server did not answer in time, failed, or cut its answer."""


class Throttled(Retryable):
    """The server asks for a pause; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(Retryable):
    """The object changed or its name is taken; read it and decide again."""


class MetricsUnavailable(Retryable):
    """The metrics cannot be trusted as a whole; `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotFound(Terminal):
    """The object is absent where it had to exist."""


class InvalidObject(Terminal):
    """The content of an object is refused, by the API server or by us."""


class InvalidSpec(InvalidObject, ValueError):  # noqa: N818 - named like its siblings
    """An AgentDeployment that cannot be read, as one that passed an older CRD.

    `problems` holds one line per field, as in `spec.model.name: ...`, fit for a condition.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class MissingApi(Terminal):
    """The cluster does not serve `api`, as in `httproutes.gateway.networking.k8s.io/v1`."""

    def __init__(self, api: str) -> None:
        super().__init__(f"the cluster does not serve {api}: install its CustomResourceDefinition")
        self.api = api


class NamespaceTerminating(Terminal):
    """The namespace is being deleted and takes no new objects."""


class AccessDenied(Terminal):
    """The API server refuses the operator's identity or its permissions."""


class InvalidSettings(Terminal):
    """The operator's own settings are wrong; `problems` names every one of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
