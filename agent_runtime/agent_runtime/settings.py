"""Settings from the environment, read once by `__main__`: four groups, one report of all problems.

A value never appears in a report, so a misplaced secret cannot leak through an error message.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    UrlConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.networks import AnyUrl
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from agent_runtime.errors import InvalidSettingsError

PINNED_MODEL = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-\d{3}|-v\d+|@sha256:[0-9a-f]{64})$")
NOT_PINNED = (
    "names an alias; use a pinned model version ending in a date, -NNN, -vN or @sha256:..., so that"
    " the provider cannot change it unseen"
)

HttpUrl = Annotated[AnyUrl, UrlConstraints(max_length=2048, allowed_schemes=["http", "https"])]
# 0 takes any free port; the event runtime.listening names it.
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9._-]*$")]


def _redis_url(value: SecretStr) -> SecretStr:
    """Refuse now what the client would stumble over later; its own messages quote passwords."""
    url = value.get_secret_value()
    try:
        ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]  # only made
        is_usable = _names_a_redis(urlsplit(url))
    except (ValueError, TypeError, AttributeError, RedisError):
        is_usable = False
    if not is_usable:
        raise ValueError(
            "must be redis://host:port/number, rediss://host:port/number or unix:///path;"
            " percent-encode / ? # @ : and % in the password"
        )
    return value


def _names_a_redis(url: SplitResult) -> bool:
    """Tell whether the client would not silently take localhost or database 0 instead."""
    if url.scheme == "unix":
        return url.path not in {"", "/"}
    host = (url.hostname or "").encode("idna")  # raises ValueError as the resolver would
    return host != b"" and re.fullmatch(r"(/\d*)?", url.path) is not None


def _header_safe(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise ValueError("must be printable ASCII without blanks")
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
ApiKey = Annotated[SecretStr, AfterValidator(_header_safe)]


class _Group(BaseSettings):
    model_config = SettingsConfigDict(
        case_sensitive=True, frozen=True, extra="ignore", populate_by_name=True
    )
    meaningful_when_empty: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _empty_means_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Strip blanks (Secrets made with `echo` end in a newline) and drop empty values."""
        stripped = {k: v.strip() if isinstance(v, str) else v for k, v in values.items()}
        return {k: v for k, v in stripped.items() if v != "" or k in cls.meaningful_when_empty}


class InfraConfig(_Group):
    """Where the process listens, logs and keeps state."""

    redis_url: RedisUrl | None = Field(default=None, alias="REDIS_URL")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    host: str = Field("0.0.0.0", alias="HOST")  # noqa: S104  a pod serves its network
    port: Port = Field(8000, alias="PORT")
    metrics_port: Port = Field(9090, alias="METRICS_PORT")


class ModelConfig(_Group):
    """Which models answer, in which order, and how."""

    meaningful_when_empty = frozenset({"FALLBACK_MODEL"})

    base_url: HttpUrl | None = Field(default=None, alias="OPENAI_BASE_URL")
    api_key: ApiKey | None = Field(default=None, validate_default=True, alias="OPENAI_API_KEY")
    revision: str = Field("", max_length=253, alias="MODEL_REVISION")
    name: str = Field("gpt-4o-2024-08-06", max_length=253, alias="MODEL_NAME")
    temperature: float = Field(0.1, ge=0, le=2, alias="MODEL_TEMPERATURE")
    max_tokens: int = Field(4096, ge=1, le=1_000_000, alias="MODEL_MAX_TOKENS")
    timeout_seconds: float = Field(30, gt=0, le=600, alias="LLM_TIMEOUT_SECONDS")
    fallback: str = Field("gpt-4o-mini-2024-07-18", max_length=253, alias="FALLBACK_MODEL")
    fallback_base_url: HttpUrl | None = Field(default=None, alias="FALLBACK_BASE_URL")
    fallback_api_key: ApiKey | None = Field(
        default=None, validate_default=True, alias="FALLBACK_API_KEY"
    )

    @field_validator("api_key")
    @classmethod
    def _key_or_own_server(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Let only a server of one's own go without a key."""
        if value is None and info.data.get("base_url") is None:
            raise ValueError("required, unless OPENAI_BASE_URL names a server that needs no key")
        return value

    @field_validator("name")
    @classmethod
    def _pinned_unless_revision(cls, value: str, info: ValidationInfo) -> str:
        """Accept any name when MODEL_REVISION pins what a self-hosted name stands for."""
        if info.data.get("revision") or PINNED_MODEL.search(value):
            return value
        raise ValueError(f"{NOT_PINNED}; or set MODEL_REVISION for a self-hosted model")

    @field_validator("fallback")
    @classmethod
    def _pinned_or_none(cls, value: str) -> str:
        if not value or PINNED_MODEL.search(value):
            return value
        raise ValueError(NOT_PINNED)

    @field_validator("fallback_api_key")
    @classmethod
    def _key_goes_with_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Never send the first provider's key to another host."""
        has_url = info.data.get("fallback_base_url") is not None
        if "fallback_base_url" in info.data and has_url != (value is not None):
            raise ValueError("and FALLBACK_BASE_URL must be set together")
        return value


class AgentConfig(_Group):
    """What the agent says and how long conversations and requests may take."""

    prompt_version: str = Field("", max_length=253, alias="PROMPT_VERSION")
    prompt_dir: Path = Field(Path("/etc/agent/prompt"), alias="PROMPT_DIR")
    policy_file: Path = Field(Path("/etc/agent/policy/policy.json"), alias="POLICY_FILE")
    session_keys_file: Path | None = Field(default=None, alias="SESSION_KEYS_FILE")
    session_idle_seconds: int = Field(900, ge=1, le=86_400, alias="SESSION_IDLE_SECONDS")
    max_session_seconds: int = Field(600, ge=1, le=86_400, alias="MAX_SESSION_SECONDS")
    request_deadline_seconds: float = Field(120, gt=0, le=3600, alias="REQUEST_DEADLINE_SECONDS")
    history_max_tokens: int = Field(8000, ge=0, le=1_000_000, alias="HISTORY_MAX_TOKENS")


class IdentityConfig(_Group):
    """Who this pod is; the revision also goes into the header `x-agent-revision`."""

    agent_name: Name = Field("agent", alias="AGENT_NAME")
    revision: Name = Field("local", alias="AGENT_REVISION")
    pod_name: Name = Field("", alias="POD_NAME")
    pod_namespace: Name = Field("", alias="POD_NAMESPACE")


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, valid."""

    infra: InfraConfig
    model: ModelConfig
    agent: AgentConfig
    identity: IdentityConfig


def load_settings() -> Settings:
    """Read the environment now; raise InvalidSettingsError that names every bad variable."""
    problems: dict[str, str] = {}
    infra = _group(InfraConfig, problems)
    model = _group(ModelConfig, problems)
    agent = _group(AgentConfig, problems)
    identity = _group(IdentityConfig, problems)
    if infra is None or model is None or agent is None or identity is None:
        raise InvalidSettingsError(problems)
    return Settings(infra, model, agent, identity)


G = TypeVar("G", bound=_Group)


def _group(group: type[G], problems: dict[str, str]) -> G | None:
    try:
        return group()
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_input=False, include_context=False):
            name = _environment_name(group, str(error["loc"][0]))
            problems[name] = error["msg"].removeprefix("Value error, ")
        return None


def _environment_name(group: type[_Group], location: str) -> str:
    """Return the alias: a default that is wrong is reported under its field's own name."""
    field = group.model_fields.get(location)
    return field.alias if field and field.alias else location
