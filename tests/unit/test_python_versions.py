"""What differs between the Python versions that the project runs on, and would not show here."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("operator", "agent_runtime", "localcluster", "demo")
MODULES = sorted(path for source in SOURCES for path in (ROOT / source).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_raised_inside_an_except_star_block(path: Path) -> None:
    # Before 3.11.4 it arrives as an ExceptionGroup, which `except TheError` does not catch.
    raised = [
        statement.lineno
        for block in ast.walk(ast.parse(path.read_text()))
        if isinstance(block, ast.TryStar)
        for handler in block.handlers
        for statement in ast.walk(handler)
        if isinstance(statement, ast.Raise) and statement.exc is not None
    ]
    assert raised == []
