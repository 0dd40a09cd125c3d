"""Whether traffic may come: started, store reached once, not draining."""

from dataclasses import dataclass


@dataclass(slots=True)
class Readiness:
    """Set by start-up and drain, read by /ready."""

    is_initialized: bool = False
    is_draining: bool = False

    @property
    def status(self) -> str:
        """`ready`, or the reason why not."""
        if self.is_draining:
            return "draining"
        return "ready" if self.is_initialized else "initialization_in_progress"
