"""The add-ons: which image, which binaries in it, which custom resources they bring."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from localcluster.binaries import binary
from localcluster.errors import LocalClusterError
from localcluster.folders import scratch_folder
from localcluster.images import Archive, image

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Addon:
    """One manifest (`name`.yaml) and one image (images/`name`)."""

    name: str
    about: str
    binaries: tuple[str, ...] = ()
    custom_resources: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def manifest(self) -> str:
        """YAML with placeholders such as ${IMAGE}."""
        return (FOLDER / f"{self.name}.yaml").read_text()

    def build(self) -> Archive:
        """Build the image out of its folder and its binaries, once per content."""
        with scratch_folder() as scratch:
            context = scratch / self.name
            shutil.copytree(FOLDER / "images" / self.name, context)
            for name in self.binaries:
                shutil.copy2(binary(name), context)
            return image(f"localhost/agentdeploy-{self.name}", context)


_ADDONS = (
    Addon(
        "gateway",
        "Contour and Envoy: Gateway `public` in namespace `gateways`, entered at http://envoy.gateways",
        binaries=("contour",),
        custom_resources=("gateway-api-crds.yaml", "contour-crds.yaml"),
    ),
    Addon("prometheus", "http://prometheus.monitoring:9090", binaries=("prometheus",)),
    Addon("redis", "redis://redis.redis:6379"),
    Addon("llm", "mock LLM, http://llm.llm/v1; model gpt-4o-2024-11-20 always fails"),
    Addon("metrics-adapter", "custom and resource metrics for autoscalers", needs=("prometheus",)),
)
ADDONS = {addon.name: addon for addon in _ADDONS}


def chosen(names: list[str]) -> list[Addon]:
    """Return the named add-ons with what they need; all of them without names."""
    unknown = sorted(set(names) - set(ADDONS))
    if unknown:
        raise LocalClusterError(
            f"no add-on is called {', '.join(unknown)}; there are: {', '.join(ADDONS)}"
        )
    wanted = set(names) | {needed for name in names for needed in ADDONS[name].needs}
    return [addon for addon in _ADDONS if not names or addon.name in wanted]
