"""Log lines: one JSON object each, whoever wrote them, without local variables."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from agent_operator.telemetry.logging import QUIET, configure

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def logged() -> Iterator[Lines]:
    """Return a function that gives the lines so far; logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure(form="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_line_is_one_json_object_with_its_values(logged: Lines) -> None:
    structlog.get_logger("agent_operator.x").info("child.applied", object="support/refunds")
    (line,) = logged()
    assert (line["event"], line["object"]) == ("child.applied", "support/refunds")
    assert (line["level"], line["logger"]) == ("info", "agent_operator.x")
    assert line["timestamp"].endswith("Z")


def test_lines_of_libraries_look_the_same_and_name_their_object(logged: Lines) -> None:
    reference = {"namespace": "support", "name": "refunds"}
    logging.getLogger("kopf.objects").warning("odd: %s", 1, extra={"k8s_ref": reference})
    (line,) = logged()
    assert (line["event"], line["object"], line["level"]) == (
        "odd: 1",
        "support/refunds",
        "warning",
    )


def test_kopf_does_not_report_every_watch_event(logged: Lines) -> None:
    logging.getLogger("kopf.objects").info("Handler 'observe' succeeded.")
    assert logged() == []


def test_debug_lines_are_left_out(logged: Lines) -> None:
    structlog.get_logger("x").debug("detail")
    assert logged() == []


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_show_no_local_variables(logged: Lines, form: Any) -> None:
    stream = io.StringIO()
    configure(form=form, stream=stream)

    def fails() -> None:
        secret = "hunter" + str(2)
        raise ValueError(len(secret))

    try:
        fails()
    except ValueError:
        structlog.get_logger("x").exception("pass.failed")
        logging.getLogger("y").exception("failed")
    assert "ValueError: 7" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_what_is_no_terminal_gets_json(logged: Lines) -> None:
    stream = io.StringIO()
    configure(form="auto", stream=stream)
    structlog.get_logger("x").warning("odd")
    assert json.loads(stream.getvalue())["event"] == "odd"
