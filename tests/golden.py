"""Golden manifests: complete objects as reviewable YAML files that tests compare with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from agent_operator.domain.manifest import Manifest

Case = Callable[[], Sequence[Manifest]]


class _Dumper(yaml.SafeDumper):
    """Writes shared parts twice instead of as anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(manifests: Sequence[Manifest]) -> str:
    """Return a YAML stream with the keys in the order they were built in."""
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def write(directory: Path, cases: dict[str, Case]) -> None:
    """Write the files anew after an intended change; the review is the diff."""
    for name, case in cases.items():
        (directory / f"{name}.yaml").write_text(to_yaml(case()), encoding="utf-8")
