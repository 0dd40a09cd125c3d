"""The process from settings to servers; exit 2 for what a person must fix."""

import asyncio
import sys

import structlog

from agent_runtime.errors import InvalidContentError, InvalidSettingsError
from agent_runtime.runtime import build_runtime
from agent_runtime.server import serve
from agent_runtime.settings import Settings, load_settings
from agent_runtime.telemetry.logging import configure_logging

EXIT_INVALID = 2

log = structlog.get_logger(__name__)


def run() -> int:
    """Serve until told to stop and return the exit code."""
    try:
        settings = load_settings()
    except InvalidSettingsError as error:
        for name, reason in error.problems.items():
            print(f"{name}: {reason}", file=sys.stderr)  # noqa: T201
        return EXIT_INVALID
    configure_logging(settings.infra.log_level, revision=settings.identity.revision)
    return asyncio.run(_served(settings))


async def _served(settings: Settings) -> int:
    try:
        runtime = build_runtime(settings)
        await serve(runtime)
    except InvalidContentError as error:
        log.error("runtime.invalid_content", error=str(error))
        return EXIT_INVALID
    except OSError as error:
        log.error("runtime.cannot_listen", error=error.strerror)
        return 1
    return 0
