"""Settings: every mistake at once, secrets never shown."""

import pytest

from agent_operator.errors import InvalidSettings
from agent_operator.settings import Settings, flag, from_command_line, read

URL = "http://prometheus:9090"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"AGENT_OPERATOR_{name.upper()}", raising=False)


def test_only_the_address_of_prometheus_is_required() -> None:
    settings = from_command_line(["--prometheus-url", URL])
    assert (settings.namespaces, settings.workers, settings.health_port) == ((), 16, 8080)


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_OPERATOR_WORKERS", "3")
    monkeypatch.setenv("AGENT_OPERATOR_PROMETHEUS_URL", URL)
    assert from_command_line([]).workers == 3
    assert from_command_line(["--workers", "5"]).workers == 5


def test_namespaces_may_be_repeated_or_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = ["--prometheus-url", URL, "--namespace", "a", "--namespace", "b"]
    assert from_command_line(given).namespaces == ("a", "b")
    monkeypatch.setenv("AGENT_OPERATOR_NAMESPACES", "b, c,b")
    assert from_command_line(["--prometheus-url", URL]).namespaces == ("b", "c")


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_OPERATOR_KUBECONFIG", "")
    assert from_command_line(["--prometheus-url", URL]).kubeconfig is None


def test_all_mistakes_are_named_at_once_with_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = ["--health-port", "99999", "--workers", "x", "--namespace", "A_", "--log-level", "loud"]
    with pytest.raises(SystemExit) as caught:
        from_command_line(wrong)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    for name in ("prometheus-url", "health-port", "workers", "namespace", "log-level"):
        assert f"--{name} (or AGENT_OPERATOR_" in said


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        from_command_line(["--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0
    for name, field in Settings.model_fields.items():
        assert field.description, name
        if name != "prometheus_password":
            assert flag(name) in said


@pytest.mark.parametrize(
    "url",
    [
        "prometheus:9090",
        "ftp://prometheus",
        "http://",
        "http://prometheus:port",
        "http://user:hunter2@prometheus",
        "http://prometheus?token=hunter2",
        "http://prometheus#x",
    ],
)
def test_an_address_that_is_none_or_holds_secrets_is_refused_without_repeating_it(
    url: str,
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read({"prometheus_url": url})
    assert "hunter2" not in str(caught.value)


def test_a_slash_at_the_end_of_the_address_does_not_matter() -> None:
    assert read({"prometheus_url": f"{URL}/"}).prometheus_url == URL


@pytest.mark.parametrize(
    "login",
    [
        {"prometheus_username": "operator"},
        {"prometheus_password": "hunter2"},
        {"prometheus_password_file": "password"},
        {
            "prometheus_username": "operator",
            "prometheus_password": "hunter2",
            "prometheus_password_file": "password",
        },
        {
            "prometheus_username": "operator",
            "prometheus_password": "hunter2",
            "prometheus_token_file": "token",
        },
    ],
)
def test_half_or_double_credentials_are_refused(login: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read({"prometheus_url": URL, **login})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("header", ["X-Scope-OrgID", "X Y=1", "X-Y=a\nb", "=1"])
def test_a_header_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(InvalidSettings):
        read({"prometheus_url": URL, "prometheus_headers": (header,)})


def test_secrets_are_not_in_what_settings_look_like() -> None:
    given = {"prometheus_username": "operator", "prometheus_password": "hunter2"}
    headers = ("Authorization=hunter2",)
    settings = read({"prometheus_url": URL, "prometheus_headers": headers, **given})
    assert "hunter2" not in repr(settings)


def test_a_setting_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="--prometheus-ulr"):
        read({"prometheus_url": URL, "prometheus_ulr": URL})
