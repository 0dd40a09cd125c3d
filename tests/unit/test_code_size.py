"""Sizes that keep the code readable: short functions, small modules, few parameters."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("operator", "agent_runtime", "localcluster", "demo")
MODULES = sorted(path for source in SOURCES for path in (ROOT / source).rglob("*.py"))

MOST_BODY_LINES = 60
MOST_MODULE_LINES = 400
P90_BODY_LINES = 20


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return ((body[-1].end_lineno or 0) - body[0].lineno + 1) if body else 0


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_functions_fit_on_a_screen_or_few(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_MODULE_LINES
    sizes = {function.name: body_lines(function) for function in functions(path)}
    assert {name: size for name, size in sizes.items() if size > MOST_BODY_LINES} == {}


def test_nine_of_ten_functions_are_short() -> None:
    sizes = [body_lines(function) for path in MODULES for function in functions(path)]
    assert statistics.quantiles(sizes, n=10)[-1] <= P90_BODY_LINES
