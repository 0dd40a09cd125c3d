"""Hot policy: values the operator may change without a new revision, from a mounted file."""

import asyncio
import os
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from agent_runtime.errors import InvalidPolicyError

MAX_POLICY_BYTES = 256 * 1024
POLL_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Policy(BaseModel):
    """Limits that judge requests and bound drains; keys are camelCase in the file."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    unit: Literal["Session", "Request"] = "Session"
    latency_seconds: float = Field(15.0, gt=0, le=3600)
    max_chain_length: int = Field(10, ge=1, le=1000)
    max_session_seconds: int = Field(600, ge=1, le=86_400)


class PolicyFile:
    """Follows the policy file; `current` is the last good one, the defaults without a file."""

    def __init__(self, path: Path, defaults: Policy) -> None:
        self._path = path
        self._defaults = defaults
        self._seen: tuple[int, int, int] | None = None
        self.current = defaults

    def reload(self) -> None:
        """Take over the file if it changed since the last look; a broken one is logged once."""
        seen = self._signature()
        if seen == self._seen:
            return
        self._seen = seen
        if seen is None:
            log.warning("policy.missing", path=str(self._path))
            return
        try:
            self.current = self._parsed()
        except InvalidPolicyError as error:
            log.error("policy.invalid", path=str(self._path), error=str(error))
        else:
            log.info("policy.loaded", **self.current.model_dump())

    async def watch(self) -> None:
        """Reload for ever; polling, because a ConfigMap volume is swapped by symbolic links."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self.reload()

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def _parsed(self) -> Policy:
        document = self._document()
        known = {to_camel(name) for name in Policy.model_fields}
        if unknown := sorted(document.keys() - known):
            log.warning("policy.unknown_keys", keys=unknown)
        try:
            return Policy.model_validate(self._defaults.model_dump(by_alias=True) | document)
        except ValidationError as invalid:
            fields = [f"{error['loc'][0]}: {error['msg']}" for error in invalid.errors()]
            raise InvalidPolicyError("; ".join(fields)) from None

    def _document(self) -> dict[str, object]:
        try:
            with self._path.open("rb") as file:
                raw = file.read(MAX_POLICY_BYTES + 1)
            document = from_json(raw) if len(raw) <= MAX_POLICY_BYTES else None
        except (OSError, ValueError) as error:
            raise InvalidPolicyError(str(error)) from None
        if not isinstance(document, dict):
            raise InvalidPolicyError(f"not a JSON object of at most {MAX_POLICY_BYTES} bytes")
        return document
