"""How sessions reach an agent through a Gateway."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent_operator.api.model import DNS_LABEL, ApiModel, ObjectName

_SEGMENT = "[A-Za-z0-9_~-][A-Za-z0-9._~-]*"  # never "." or "..", as Gateways demand
_PATH = rf"^/({_SEGMENT}(/{_SEGMENT})*/?)?$"


class ParentRef(ApiModel):
    """A Gateway the agent is reached through."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: str | None = Field(default=None, min_length=1, max_length=63, pattern=DNS_LABEL)
    """Namespace of the Gateway; default is the own one."""
    section_name: ObjectName | None = None
    """Listener of the Gateway; default is all."""
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of the listener; default is all."""


class TrafficSpec(ApiModel):
    """How a Gateway splits sessions between revisions."""

    parent_refs: tuple[ParentRef, ...] = Field(min_length=1, max_length=8)
    """Gateways the agent is reached through."""
    hostnames: tuple[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=253,
                pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            ),
        ],
        ...,
    ] = Field(default=(), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
    """Host names the agent answers to; empty means those of the listener."""
    paths: tuple[Annotated[str, Field(min_length=1, max_length=256, pattern=_PATH)], ...] = Field(
        default=("/v1",),
        min_length=1,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    """Path prefixes the agent answers to."""
    timeout_seconds: int = Field(default=120, ge=1, le=3600)
    """Seconds a request may take at the Gateway."""
    stickiness: Literal["Header", "None"] = "Header"
    """Header keeps a conversation on its revision by the x-agent-revision header; None does not."""
