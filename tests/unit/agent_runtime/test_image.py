"""What the agent's image is made of, as far as its sources tell."""

import re
from pathlib import Path

import pytest

from localcluster.context import copied_sources

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile.agent").read_text()
REQUIREMENTS = (ROOT / "requirements" / "runtime.txt").read_text()


def test_the_agents_image_holds_nothing_of_the_operator() -> None:
    names = set(re.findall(r"^([a-z0-9-]+)==", REQUIREMENTS, re.MULTILINE))

    assert {"fastapi", "openai", "redis"} <= names
    assert not {"kopf", "kubernetes", "prometheus-api-client", "pytest", "llmock"} & names
    assert "operator" not in "".join(re.findall(r"^COPY .*", DOCKERFILE, re.MULTILINE))


def test_dependencies_come_before_code_and_code_before_prompts() -> None:
    final = DOCKERFILE.split("FROM ${BASE_IMAGE}")[-1]

    steps = [
        final.index(f"COPY {source}") for source in ("--from=build", "agent_runtime/", "examples/")
    ]
    assert steps == sorted(steps)


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert re.findall(r"^USER (.*)", DOCKERFILE, re.MULTILINE) == ["65532:65532"]


def test_every_dependency_is_pinned_by_hash() -> None:
    packages = re.findall(r"^[a-z0-9-]+==.*(?:\n    --hash.*)*", REQUIREMENTS, re.MULTILINE)

    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "--require-hashes" in DOCKERFILE


@pytest.mark.parametrize("name", ["Dockerfile.agent", "Dockerfile.operator"])
def test_a_build_is_sent_what_it_copies_and_nothing_else(name: str) -> None:
    rules = (ROOT / f"{name}.dockerignore").read_text().splitlines()
    let_through = {rule[1:] for rule in rules if rule.startswith("!")}

    assert "*" in rules
    assert let_through == set(copied_sources((ROOT / name).read_text()))
