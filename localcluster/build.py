"""Build ahead whatever a cluster, its add-ons and this repository's pods are made of: `build`.

Everything here is also built by whoever needs it first; tests with a time limit cannot wait for it.
"""

from __future__ import annotations

from localcluster import machine
from localcluster.addons.registry import ADDONS
from localcluster.binaries import BINARIES, binary
from localcluster.folders import REPOSITORY
from localcluster.images import base_image, image, pause_image
from localcluster.progress import step

# Names without a tag get the hash of the content as theirs: changed code is another image.
OPERATOR_IMAGE = "localhost/agentdeploy-operator"
AGENT_IMAGE = "localhost/agentdeploy-agent"
PRODUCT = {OPERATOR_IMAGE: "Dockerfile.operator", AGENT_IMAGE: "Dockerfile.agent"}


def build(*, product: bool = False) -> None:
    """Build or find every binary and image; `product` adds the images of operator and agent."""
    machine.require(machine.NODE + machine.IMAGES)
    with step(f"binaries {', '.join(BINARIES)}"):
        for name in BINARIES:
            binary(name)
    with step(f"images base, pause, {', '.join(ADDONS)}"):
        base_image()
        pause_image()
        for addon in ADDONS.values():
            addon.build()
    if product:
        with step("images of operator and agent"):
            for name, dockerfile in PRODUCT.items():
                image(name, REPOSITORY, dockerfile=REPOSITORY / dockerfile)
