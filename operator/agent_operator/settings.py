"""The operator's settings: command line first, then environment, then defaults."""

import argparse
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent_operator.errors import InvalidSettings

ENV_PREFIX = "AGENT_OPERATOR_"

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_WORDS = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """Where the operator works and how fast; frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    prometheus_url: str
    """Prometheus or anything with its HTTP API, as in http://prometheus:9090; required"""
    kubeconfig: str | None = None
    """kubeconfig file; default: the pod's ServiceAccount, else KUBECONFIG or ~/.kube/config"""
    context: str | None = None
    """context of the kubeconfig"""
    namespaces: _WORDS = ()
    """namespace to work in; give it several times for several; default: all"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """least severe level that is logged: debug, info, warning or error"""
    log_format: Literal["auto", "json", "console"] = "auto"
    """json, console, or auto: console on a terminal, else json"""
    health_port: int = Field(default=8080, ge=0, le=65535)
    """port of /healthz, /readyz and /metrics; 0 takes any free one"""
    workers: int = Field(default=16, ge=1, le=256)
    """AgentDeployments that are reconciled at the same time"""
    tick_seconds: float = Field(default=1.0, ge=0.1, le=60)
    """how often rollouts are looked at for a due evaluation"""
    resync_seconds: float = Field(default=600.0, ge=10, le=86400)
    """everything is reconciled at least this often"""
    scrape_interval_seconds: float = Field(default=15.0, ge=1, le=300)
    """how often Prometheus scrapes the agents' pods"""
    query_lag_seconds: float = Field(default=5.0, ge=0, le=300)
    """how far in the past counters are read, so that those of one scrape belong together"""
    prometheus_timeout_seconds: float = Field(default=10.0, ge=0.1, le=120)
    """longest wait for one answer of Prometheus"""
    prometheus_ca_file: str | None = None
    """CA bundle for an https Prometheus; default: that of the system"""
    prometheus_token_file: str | None = None
    """file with a bearer token for Prometheus, read anew for every query"""
    prometheus_username: str | None = None
    """user for basic authentication; the password comes from file or environment"""
    prometheus_password_file: str | None = None
    """file with the password, read anew for every query"""
    prometheus_password: SecretStr | None = None
    """password; from the environment only"""
    prometheus_headers: _WORDS = Field(default=(), repr=False)
    """more request headers, as in X-Scope-OrgID=team; give it several times for several"""

    @field_validator("namespaces", "prometheus_headers", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("namespaces")
    @classmethod
    def _name_namespaces(cls, namespaces: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in namespaces if not _NAMESPACE.fullmatch(name)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: not a namespace name")
        return tuple(dict.fromkeys(namespaces))

    @field_validator("prometheus_headers")
    @classmethod
    def _pair_headers(cls, headers: tuple[str, ...]) -> tuple[str, ...]:
        for header in headers:
            name, separator, value = header.partition("=")
            if not separator or not _HEADER_NAME.fullmatch(name) or not value.isprintable():
                raise ValueError("a header is NAME=VALUE, its name letters, digits and dashes")
        return headers

    @field_validator("prometheus_url")
    @classmethod
    def _keep_url_plain(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        except ValueError:
            wrong = True
        if wrong:
            raise ValueError("not an http or https URL")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                "must hold no credentials (they have settings of their own), query or fragment"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _choose_one_login(self) -> Self:
        passwords = [self.prometheus_password_file, self.prometheus_password]
        given = [one for one in passwords if one is not None]
        if self.prometheus_token_file and self.prometheus_username:
            raise ValueError("give either a Prometheus token or a user, not both")
        if len(given) > 1 or bool(given) != (self.prometheus_username is not None):
            raise ValueError("basic authentication takes a user and one password")
        return self


_FLAGS = {"namespaces": "--namespace", "prometheus_headers": "--prometheus-header"}
_ENVIRONMENT_ONLY = frozenset({"prometheus_password"})


def flag(name: str) -> str:
    """Return the command-line flag of a setting."""
    return _FLAGS.get(name) or f"--{name.replace('_', '-')}"


def from_command_line(argv: Sequence[str]) -> Settings:
    """Return the settings of a command line; with a mistake exit 2, naming all of them at once."""
    parser = _parser()
    given = vars(parser.parse_args(argv))
    try:
        return read(given)
    except InvalidSettings as error:
        lines = "".join(f"  {problem}\n" for problem in error.problems)
        parser.exit(2, f"{parser.prog}: these settings are wrong (--help explains them)\n{lines}")


def read(given: dict[str, Any]) -> Settings:
    """Return settings from the given values and the environment; raise InvalidSettings."""
    try:
        return Settings(**given)
    except ValidationError as error:
        raise InvalidSettings(
            [_problem(one["loc"], one["msg"]) for one in error.errors()]
        ) from None


def _problem(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name = str(location[0])
    variable = f"{ENV_PREFIX}{name.upper()}"
    source = variable if name in _ENVIRONMENT_ONLY else f"{flag(name)} (or {variable})"
    return f"{source}: {text}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent-operator",
        description="Rolls out AgentDeployments and goes back by itself when they get worse.",
        epilog=f"Every setting can also be given as {ENV_PREFIX}<NAME>, lists separated by commas.",
        argument_default=argparse.SUPPRESS,
    )
    for name, field in Settings.model_fields.items():
        if name in _ENVIRONMENT_ONLY:
            continue
        text = field.description or ""
        if field.default not in (None, ()) and not field.is_required():
            text += f"; default: {field.default}"
        action = "append" if name in _FLAGS else "store"
        parser.add_argument(
            flag(name), dest=name, action=action, help=text.replace("%", "%%"), metavar="VALUE"
        )
    return parser
