"""The model and the prompt of an agent: what makes its answers what they are."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import Field

from agent_operator.api.model import ApiModel, ObjectName, Rule
from agent_operator.api.v1alpha1_pod import SecretKeyRef

_PINNED = (
    r"(-|@|:)([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{3}"
    r"|v[0-9]+([.][0-9]+)*|sha256:[0-9a-f]{8,})$"
)
# The ConfigMap that pods mount has the key prompt-<name>.
_FILE_NAME = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"


class ModelSpec(ApiModel):
    """The language model behind the agent. A change here is a new revision."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"(has(self.revision) && self.revision != '') || self.name.matches('{_PINNED}')",
            message="name is an alias that can change its meaning: pin it, as in "
            "gpt-4o-2024-08-06, or set model.revision",
            holds=lambda model: model.revision != "" or re.search(_PINNED, model.name) is not None,
            field=".name",
        ),
        Rule(
            cel=f"!has(self.fallback) || self.fallback.matches('{_PINNED}')",
            message="fallback is an alias that can change its meaning: pin it, as in "
            "gpt-4o-mini-2024-07-18",
            holds=lambda model: (
                model.fallback is None or re.search(_PINNED, model.fallback) is not None
            ),
            field=".fallback",
        ),
        Rule(
            cel="!has(self.fallback) || self.fallback != self.name",
            message="fallback must be another model than name: it would fail together with it",
            holds=lambda model: model.fallback != model.name,
            field=".fallback",
        ),
    )

    name: str = Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")
    """Pinned model name, ending in a date, a number or a digest, as in gpt-4o-2024-08-06.

    An alias, which can change its meaning, is refused unless revision is set.
    """
    revision: str = Field(default="", max_length=256)
    """Digest or commit of a self-hosted model that has no dated name; then any name is accepted."""
    fallback: str | None = Field(
        default=None, min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"
    )
    """Pinned model that answers when the first one fails."""
    temperature: float = Field(default=0.1, ge=0, le=2)
    """Sampling temperature, 0 to 2."""
    max_tokens: int = Field(default=4096, ge=1, le=1_000_000)
    """Most tokens of one answer."""
    base_url: str | None = Field(
        default=None, max_length=1024, pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$"
    )
    """Base URL of an OpenAI-compatible API, without credentials; default is the provider's own."""
    credentials_secret_ref: SecretKeyRef | None = None
    """Key of the Secret that holds the provider's API key."""


class ConfigMapRef(ApiModel):
    """A ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the ConfigMap."""


class PromptSpec(ApiModel):
    """The agent's prompt. A new version is a new revision; a version never changes its meaning."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.configMapRef) ? 1 : 0) + (has(self.files) ? 1 : 0)"
            " + (has(self.fromImage) && self.fromImage ? 1 : 0) == 1",
            message="prompt needs exactly one source: configMapRef, files, or fromImage: true",
            holds=lambda prompt: (
                (prompt.config_map_ref is not None) + (prompt.files is not None) + prompt.from_image
                == 1
            ),
        ),
        Rule(
            cel="!has(self.files) || "
            f"self.files.all(name, name.size() <= 246 && name.matches('{_FILE_NAME}'))",
            message="files must have names of letters, digits, '.', '_' and '-', at most 246 long",
            holds=lambda prompt: all(
                len(name) <= 246 and re.search(_FILE_NAME, name) for name in prompt.files or ()
            ),
            field=".files",
        ),
    )

    version: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Version of the prompt, as in v2.3. Raise it with every change of the text."""
    config_map_ref: ConfigMapRef | None = None
    """ConfigMap whose keys are the prompt files. It is read once per version."""
    files: dict[str, Annotated[str, Field(max_length=262_144)]] | None = Field(
        default=None, min_length=1, max_length=32
    )
    """Prompt files by name, written here directly."""
    from_image: bool = False
    """true if the image holds the prompt; then the image is its content."""
