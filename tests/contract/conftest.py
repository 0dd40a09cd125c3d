"""Contract tests speak to real servers and to the runtime as its own process."""

from tests.fakes.pytest_redis import redis_server

__all__ = ["redis_server"]
