"""Pytest fixtures for a real Redis, shared by unit and contract tests."""

from collections.abc import Iterator

import pytest

from tests.fakes.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real Redis for the whole session; every session key in it has random parts."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()
