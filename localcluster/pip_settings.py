"""Hand the machine's pip settings and certificates to image builds, as mounts only."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

CERTIFICATES = Path("/etc/ssl/certs")
BUNDLE = CERTIFICATES / "ca-certificates.crt"
BUILD_PATH = "/etc/pip.conf"


def pip_configuration(environment: Mapping[str, str], files: list[Path]) -> dict[str, str]:
    """Merge pip's configuration files and PIP_* variables (which win) into [global] options."""
    options: dict[str, str] = {}
    if BUNDLE.exists():
        options["cert"] = str(BUNDLE)
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file)
        if parser.has_section("global"):
            options.update(parser.items("global"))
    certificate = environment.get("SSL_CERT_FILE") or environment.get("REQUESTS_CA_BUNDLE")
    if certificate:
        options["cert"] = certificate
    for name, value in environment.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return options


def configuration_files() -> list[Path]:
    """List the files that pip itself reads, weakest first."""
    home = Path.home()
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    named = os.environ.get("PIP_CONFIG_FILE")
    return [file for file in [*files, *([Path(named)] if named else [])] if file.is_file()]


def build_volumes(scratch: Path) -> list[str]:
    """Write the merged pip.conf into `scratch`; returns `--volume` options of buildah."""
    options = pip_configuration(os.environ, configuration_files())
    merged = configparser.RawConfigParser()
    merged["global"] = options
    target = scratch / "pip.conf"
    with target.open("w") as file:
        merged.write(file)
    target.chmod(0o600)
    mounts = {str(target): BUILD_PATH}
    words = {word for value in options.values() for word in value.split()}
    for path in (CERTIFICATES, *(Path(word) for word in sorted(words) if word.startswith("/"))):
        if path.exists() and not (path != CERTIFICATES and path.is_relative_to(CERTIFICATES)):
            mounts[str(path)] = str(path)
    return [f"--volume={source}:{inside}:ro" for source, inside in mounts.items()]
