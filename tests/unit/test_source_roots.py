import operator
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("root", ["operator", "agent_runtime"])
def test_a_source_root_is_no_package(root: str) -> None:
    assert (ROOT / root).is_dir()
    assert not (ROOT / root / "__init__.py").exists()


def test_the_standard_library_keeps_its_operator_module() -> None:
    assert operator.itemgetter(1)("ab") == "b"
    assert Path(operator.__file__ or "").parent != ROOT / "operator"


@pytest.mark.parametrize(
    "package", ["agent_operator.api.v1alpha1", "agent_operator.domain.desired"]
)
def test_the_pure_layers_import_no_client_library(package: str) -> None:
    heavy = ("kopf", "kubernetes", "aiohttp", "prometheus_api_client", "fastapi", "asyncio")
    code = f"import sys, {package}; print([m for m in {heavy!r} if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
