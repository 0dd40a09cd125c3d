"""Failures the runtime tells apart; everything below the HTTP layer raises these."""


class AgentRuntimeError(Exception):
    """Base of every failure raised on purpose by this package."""


class InvalidSettingsError(AgentRuntimeError):
    """Settings that do not fit; `problems`: environment name to what is wrong, never a value."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = problems


class InvalidContentError(AgentRuntimeError):
    """A mounted file (prompt, keys) that the pod cannot run with."""


class InvalidPolicyError(AgentRuntimeError):
    """A policy file that does not parse or is out of bounds; the last good one stays in force."""


class UnusableAnswerError(AgentRuntimeError):
    """A provider answered 200 with nothing that can be used."""


class StoreUnavailableError(AgentRuntimeError):
    """The session store did not answer in time or refused."""
