"""Session ids that only this agent can issue: kind, time of issue, 128 random bits and an HMAC.

The kind says whether the conversation began with a pin, the time whether a missing record may have
expired. Kept in the id, both survive a lost store.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent_runtime.errors import InvalidContentError

MIN_KEY_CHARACTERS = 32
MAX_KEYS_BYTES = 64 * 1024
MAX_ID_CHARACTERS = 64
_TIME_BYTES = 4
_RANDOM_BYTES = 16
_MAC_BYTES = 16
_FORMAT = re.compile(r"([sp][A-Za-z0-9_-]{27})\.([A-Za-z0-9_-]{22})")
_CONTEXT = b"agentdeploy session v1:"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionId:
    """`text` is what the client holds and nobody else may see; `key` names the session inside."""

    key: str
    text: str

    @property
    def pinned(self) -> bool:
        """Whether the conversation's very first request chose its revision."""
        return self.key.startswith("p")

    @property
    def issued(self) -> int:
        """Unix time at which the id was issued."""
        return int.from_bytes(base64.urlsafe_b64decode(f"{self.key[1:]}=")[:_TIME_BYTES])


class SessionKeys:
    """Signs with the first key and accepts all, so that keys can be rotated."""

    def __init__(self, keys: list[str], *, now: Callable[[], float] = time.time) -> None:
        self._keys = [key.encode() for key in keys]
        self._now = now

    def issue(self, *, pinned: bool) -> SessionId:
        """Return an id that was never issued before."""
        issued = int(self._now()).to_bytes(_TIME_BYTES)
        key = ("p" if pinned else "s") + _base64url(issued + secrets.token_bytes(_RANDOM_BYTES))
        return SessionId(key, f"{key}.{_signature(self._keys[0], key)}")

    def verified(self, text: str) -> SessionId | None:
        """Return the id if one of the keys signed it."""
        match = _FORMAT.fullmatch(text)
        if match is None:
            return None
        key, given = match.groups()
        # All keys are tried and compared in constant time: the time taken must not tell.
        matches = [hmac.compare_digest(given, _signature(signer, key)) for signer in self._keys]
        return SessionId(key, text) if any(matches) else None

    def age_seconds(self, session_id: SessionId) -> float:
        """Return how long ago the id was issued."""
        return self._now() - session_id.issued


def load_session_keys(path: Path | None) -> SessionKeys:
    """Read one key per line; without a file make one up that other pods do not know."""
    if path is None:
        log.warning(
            "session_keys.random",
            consequence="other pods and a restarted one start these conversations anew",
        )
        return SessionKeys([secrets.token_urlsafe(MIN_KEY_CHARACTERS)])
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_KEYS_BYTES).decode("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidContentError(f"session keys file {path} cannot be read as text") from error
    if not lines or min(map(len, lines)) < MIN_KEY_CHARACTERS:
        raise InvalidContentError(
            f"session keys file {path} needs lines of at least {MIN_KEY_CHARACTERS} characters"
        )
    return SessionKeys(lines)


def _signature(signer: bytes, key: str) -> str:
    digest = hmac.digest(signer, _CONTEXT + key.encode(), hashlib.sha256)
    return _base64url(digest[:_MAC_BYTES])


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
