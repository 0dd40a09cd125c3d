"""What examples/ promises its readers: files that are there, objects that the operator accepts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_operator.api.v1alpha1 import AgentDeployment
from tests.factories import merged

ROOT = Path(__file__).resolve().parents[2]
REFUNDS = ROOT / "examples" / "refunds"
TEXTS = sorted(path for path in REFUNDS.rglob("*") if path.suffix in {".md", ".yaml"})


def manifest(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((REFUNDS / name).read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(REFUNDS)))
def test_every_file_that_an_example_names_is_there(text: Path) -> None:
    named = re.findall(r"examples/[\w./-]*\w", text.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("patch", [None, "v2.yaml", "v3.yaml"])
def test_the_operator_accepts_the_example_with_each_patch(patch: str | None) -> None:
    agent = merged(manifest("agentdeployment.yaml"), manifest(patch) if patch else {})

    spec = AgentDeployment.model_validate(agent).spec

    version = patch.removesuffix(".yaml") if patch else "v1"
    assert spec.prompt.version == version
    assert spec.prompt.config_map_ref is not None
    assert spec.prompt.config_map_ref.name == f"refunds-prompt-{version}"
    assert (REFUNDS / "prompts" / version).is_dir()
