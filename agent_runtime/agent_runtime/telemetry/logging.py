"""JSON lines on standard output, for our events and for the libraries' alike."""

import logging
import sys

import structlog

# These log request bodies at DEBUG: prompts and user text must not depend on a log level.
_TALKATIVE_LIBRARIES = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")


def configure_logging(level: str, *, revision: str) -> None:
    """Send everything from `level` up to standard output, one JSON object per line."""

    def add_revision(
        _: object, __: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["revision"] = revision
        return event

    shared: list[structlog.typing.Processor] = [
        add_revision,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _TALKATIVE_LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.getLevelName(level)))
