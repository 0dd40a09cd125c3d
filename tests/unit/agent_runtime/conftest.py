"""An agent without its own process: settings from a clean environment, llmock as the provider."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from llmock.pytest_plugin import LLMock

from agent_runtime.runtime import build_runtime
from agent_runtime.settings import Settings, load_settings
from tests.fakes.agent import RunningAgent, running
from tests.fakes.clock import VirtualClock
from tests.fakes.pytest_redis import redis_server
from tests.fakes.redis_server import RedisServer

__all__ = ["redis_server"]

SECRET = "sk-never-to-be-seen-1234567890"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Set the environment to the least that is needed, then to the values given."""
    for name in list(os.environ):
        if name not in {"PATH", "HOME", "TMPDIR", "PYTEST_CURRENT_TEST"}:
            monkeypatch.delenv(name)
    prompt = tmp_path / "prompt"
    prompt.mkdir()
    (prompt / "system.md").write_text("You are a test.")

    def set_environment(**values: str) -> None:
        least = {
            "OPENAI_API_KEY": SECRET,
            "PROMPT_DIR": str(prompt),
            "POLICY_FILE": str(tmp_path / "policy.json"),
        }
        for name, value in (least | values).items():
            monkeypatch.setenv(name, value)

    set_environment()
    return set_environment


@pytest.fixture
def settings(environment: Callable[..., None], llmock: LLMock) -> Callable[..., Settings]:
    """Load settings that name llmock as the provider, with the values given on top."""

    def load(**values: str) -> Settings:
        environment(**{"OPENAI_BASE_URL": llmock.base_url("openai")} | values)
        return load_settings()

    return load


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def agent(
    settings: Callable[..., Settings], clock: VirtualClock
) -> AsyncIterator[RunningAgent]:
    """An agent with default settings whose retries wait in virtual time."""
    async with running(build_runtime(settings(), clock=clock.as_clock())) as running_agent:
        yield running_agent


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url
