"""Settings: what is accepted, and one report for all that is not."""

from collections.abc import Callable

import pytest

from agent_runtime.errors import InvalidSettingsError
from agent_runtime.settings import load_settings

Environment = Callable[..., None]
SECRET = "sk-never-to-be-seen-1234567890"


def problems() -> dict[str, str]:
    with pytest.raises(InvalidSettingsError) as caught:
        load_settings()
    return caught.value.problems


def test_a_key_alone_gives_the_documented_defaults(environment: Environment) -> None:
    settings = load_settings()

    assert settings.infra.redis_url is None
    assert settings.infra.log_level == "INFO"
    assert (settings.infra.port, settings.infra.metrics_port) == (8000, 9090)
    assert settings.model.name == "gpt-4o-2024-08-06"
    assert settings.model.fallback == "gpt-4o-mini-2024-07-18"
    assert (settings.model.temperature, settings.model.max_tokens) == (0.1, 4096)
    assert settings.agent.session_idle_seconds == 900
    assert settings.agent.request_deadline_seconds == 120


def test_bad_values_of_all_groups_are_reported_at_once(environment: Environment) -> None:
    environment(
        LOG_LEVEL="LOUD",
        PORT="eighty",
        OPENAI_API_KEY="",
        MODEL_TEMPERATURE="3",
        SESSION_IDLE_SECONDS="0",
        AGENT_REVISION="a b",
    )

    assert problems().keys() == {
        "LOG_LEVEL",
        "PORT",
        "OPENAI_API_KEY",
        "MODEL_TEMPERATURE",
        "SESSION_IDLE_SECONDS",
        "AGENT_REVISION",
    }


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "FALLBACK_API_KEY", "REDIS_URL", "PORT"])
def test_a_report_never_repeats_a_value(environment: Environment, name: str) -> None:
    environment(**{name: f"{SECRET} with blanks"})

    found = problems()

    assert name in found
    assert SECRET not in str(found)


def test_settings_do_not_show_secrets(environment: Environment) -> None:
    environment(REDIS_URL=f"redis://:{SECRET}@redis:6379")

    assert SECRET not in repr(load_settings())


@pytest.mark.parametrize("alias", ["gpt-4o", "gpt-4o-latest", "claude-sonnet"])
@pytest.mark.parametrize("name", ["MODEL_NAME", "FALLBACK_MODEL"])
def test_an_alias_is_refused_as_a_model(environment: Environment, name: str, alias: str) -> None:
    environment(**{name: alias})

    assert "pinned" in problems()[name]


@pytest.mark.parametrize(
    "pinned",
    [
        "gpt-4o-2024-08-06",
        "claude-sonnet-4-20250514",
        "gemini-2.0-flash-001",
        "llama-v3",
        f"own@sha256:{'0' * 64}",
    ],
)
def test_a_pinned_model_is_accepted(environment: Environment, pinned: str) -> None:
    environment(MODEL_NAME=pinned)

    assert load_settings().model.name == pinned


def test_a_revision_pins_a_self_hosted_name(environment: Environment) -> None:
    environment(MODEL_NAME="our-llama", MODEL_REVISION="4f2c9e1")

    assert load_settings().model.name == "our-llama"


def test_a_revision_does_not_pin_the_fallback(environment: Environment) -> None:
    environment(MODEL_NAME="our-llama", MODEL_REVISION="4f2c9e1", FALLBACK_MODEL="other-llama")

    assert problems().keys() == {"FALLBACK_MODEL"}


def test_an_empty_fallback_means_no_fallback(environment: Environment) -> None:
    environment(FALLBACK_MODEL="")

    assert load_settings().model.fallback == ""


def test_any_other_empty_value_means_unset(environment: Environment) -> None:
    environment(REDIS_URL="", MODEL_NAME="", PORT="", OPENAI_BASE_URL="", SESSION_KEYS_FILE="")

    settings = load_settings()

    assert settings.infra.redis_url is None
    assert settings.infra.port == 8000
    assert settings.model.name == "gpt-4o-2024-08-06"
    assert settings.agent.session_keys_file is None


def test_a_line_break_after_a_key_is_dropped(environment: Environment) -> None:
    environment(OPENAI_API_KEY=f"{SECRET}\n")

    key = load_settings().model.api_key
    assert key is not None
    assert key.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "half", [{"FALLBACK_BASE_URL": "http://other.example/v1"}, {"FALLBACK_API_KEY": SECRET}]
)
def test_another_provider_needs_url_and_key(environment: Environment, half: dict[str, str]) -> None:
    environment(**half)

    assert problems().keys() == {"FALLBACK_API_KEY"}


@pytest.mark.parametrize("url", ["redis:6379", "http://redis", "redis://"])
def test_a_store_url_of_another_kind_is_refused(environment: Environment, url: str) -> None:
    environment(REDIS_URL=url)

    assert problems().keys() == {"REDIS_URL"}


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cr3t/x@redis:6379/0",
        "redis://:s3cr3t#x@redis:6379/0",
        "redis://:s3cr3t@redis:port",
        "redis://:s3cr3t@redis:70000",
        "redis://:s3cr3t@[::1",
        "redis://:s3cr3t@redis:6379/abc",
        "redis://:s3cr3t@redis:6379/-1",
        "redis://:s3cr3t@redis:6379/1/2",
        "redis://:s3cr3t@redis..example:6379",
        "redis://:s3cr3t@redis:6379?db=s3cr3t",
        "redis://:s3cr3t@redis:6379?s3cr3t=1",
        "redis://:s3cr3t@redis:6379?protocol=9",
        "rediss://:s3cr3t@redis:6379?ssl_cert_reqs=s3cr3t",
        "redis://:s3cr3t@",
        "unix://s3cr3t",
    ],
)
def test_a_store_url_the_client_could_not_use_is_refused_without_its_password(
    environment: Environment, url: str
) -> None:
    environment(REDIS_URL=url)

    found = problems()

    assert found.keys() == {"REDIS_URL"}
    assert "s3cr3t" not in str(found)


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis",
        "redis://redis:6379/",
        "redis://user:p%2Fx@redis:6379/3",
        "redis://[::1]:6379?db=2",
        "rediss://redis:6380/0?ssl_cert_reqs=required",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_a_store_url_the_client_can_use_is_accepted(environment: Environment, url: str) -> None:
    environment(REDIS_URL=url)

    loaded = load_settings().infra.redis_url
    assert loaded is not None
    assert loaded.get_secret_value() == url


def test_a_server_of_ones_own_needs_no_key(environment: Environment) -> None:
    environment(OPENAI_API_KEY="", OPENAI_BASE_URL="http://llm.internal/v1")
    assert load_settings().model.api_key is None
