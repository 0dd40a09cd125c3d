"""What `python -m localcluster build` builds."""

import pytest

from demo import cluster
from localcluster import __main__ as command_line
from localcluster import build
from localcluster.folders import REPOSITORY


def test_images_of_operator_and_agent_are_those_of_the_demo() -> None:
    assert set(build.PRODUCT) == {cluster.OPERATOR_IMAGE, cluster.AGENT_IMAGE}
    assert all((REPOSITORY / dockerfile).is_file() for dockerfile in build.PRODUCT.values())


@pytest.mark.parametrize(("options", "product"), [([], False), (["--images"], True)])
def test_images_of_operator_and_agent_are_built_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, options: list[str], *, product: bool
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(command_line, "build", lambda *, product: calls.append(product))
    monkeypatch.setattr("sys.argv", ["localcluster", "build", *options])
    assert command_line.main() == 0
    assert calls == [product]
