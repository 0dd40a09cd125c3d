"""The two images as they are built: who runs what, and that nothing else came along."""

import json
import re
import tarfile
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from demo.cluster import AGENT_IMAGE, OPERATOR_IMAGE
from localcluster.folders import REPOSITORY
from localcluster.images import image

pytestmark = pytest.mark.cluster

MAXIMUM_BYTES = 200 * 2**20
_IMAGES = {
    "Dockerfile.operator": OPERATOR_IMAGE,
    "Dockerfile.agent": AGENT_IMAGE,
}
_BUILD_TOOLS = {"pip", "setuptools", "wheel", "gcc", "cc", "make", "uv"}
_LEFT_OVER = re.compile(
    r"(^|/)(\.git|\.env|\.venv|\.local|tests?|conftest\.py|id_rsa|kubeconfig|.*\.key)$"
)


@dataclass(frozen=True)
class Built:
    """What an image says about itself, and the files that it adds to its base."""

    configuration: dict[str, Any]
    files: dict[str, int]

    @property
    def packages(self) -> set[str]:
        """Return the names of the folders among the installed packages."""
        found = (re.match(r"opt/venv/lib/python3[^/]*/site-packages/(\w+)/", f) for f in self.files)
        return {match[1] for match in found if match}


@cache
def built(dockerfile: str) -> Built:
    """Build an image, or find it built, and look into it."""
    archive = image(_IMAGES[dockerfile], REPOSITORY, dockerfile=REPOSITORY / dockerfile)
    with tarfile.open(archive.path) as outer:
        (manifest,) = json.loads(_read(outer, "manifest.json"))
        files: dict[str, int] = {}
        for layer in manifest["Layers"][1:]:  # the base is the first one
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                files |= {one.name: one.size for one in inner}
        return Built(json.loads(_read(outer, manifest["Config"]))["config"], files)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None, name
    return member.read()


@pytest.mark.parametrize("dockerfile", _IMAGES)
class TestEveryImage:
    def test_it_runs_as_a_user_without_rights(self, dockerfile: str) -> None:
        assert built(dockerfile).configuration["User"] == "65532:65532"

    def test_it_adds_less_than_its_share_to_the_base(self, dockerfile: str) -> None:
        assert sum(built(dockerfile).files.values()) < MAXIMUM_BYTES

    def test_it_adds_nothing_to_its_base_that_installs_or_compiles(self, dockerfile: str) -> None:
        one = built(dockerfile)
        programs = {name.rpartition("/")[2] for name in one.files if "/bin/" in name}
        assert not _BUILD_TOOLS & (one.packages | programs)

    def test_no_secrets_and_no_tests_of_ours_came_along(self, dockerfile: str) -> None:
        own = [name for name in built(dockerfile).files if "site-packages" not in name]
        assert [name for name in own if _LEFT_OVER.search(name)] == []

    def test_every_module_is_compiled_since_the_file_system_is_read_only(
        self, dockerfile: str
    ) -> None:
        files = built(dockerfile).files
        modules = [name for name in files if name.startswith("app/") and name.endswith(".py")]
        compiled = {name.rpartition("/")[2].partition(".")[0] for name in files if ".pyc" in name}
        assert modules
        assert [
            m for m in modules if m.rpartition("/")[2].removesuffix(".py") not in compiled
        ] == []


def test_the_operators_image_has_nothing_of_the_agents() -> None:
    one = built("Dockerfile.operator")
    assert {"kopf", "kubernetes", "aiohttp"} <= one.packages
    assert not {"fastapi", "uvicorn", "openai", "redis", "agent_runtime"} & one.packages
    assert not [name for name in one.files if name.startswith("app/agent_runtime")]


def test_the_agents_image_has_nothing_of_the_operator() -> None:
    one = built("Dockerfile.agent")
    assert {"fastapi", "uvicorn", "openai"} <= one.packages
    assert not {"kopf", "kubernetes", "prometheus_api_client"} & one.packages
    assert not [name for name in one.files if name.startswith("app/agent_operator")]


def test_the_operator_is_the_first_process_of_its_container() -> None:
    configuration = built("Dockerfile.operator").configuration
    assert configuration["Entrypoint"] == ["python3", "-m", "agent_operator"]
