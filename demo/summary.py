"""What the demo measured, as one file and as words."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "summary.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Outcome of one run; None is what did not happen.

    `session_switches`: conversations whose revision changed for another reason than the rollback of
    the revision they were on.
    """

    promoted_revision: str | None
    rolled_back_revision: str | None
    rollback_reason: str | None
    requests_total: int
    requests_failed: int
    session_switches: int
    bad_start_to_weight_zero_seconds: float | None
    total_seconds: float

    @property
    def is_success(self) -> bool:
        """Whether one revision was promoted and one was rolled back."""
        return self.promoted_revision is not None and self.rolled_back_revision is not None


def write(summary: Summary, path: Path) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(asdict(summary), indent=2) + "\n")
    part.replace(path)
