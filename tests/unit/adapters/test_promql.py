"""Queries keep their shape whatever the names and values are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_operator.adapters.promql import (
    Aggregation,
    LastOver,
    OneOf,
    SampleTime,
    Series,
    quoted,
    regex_literal,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# What PromQL's lexer takes for a string in double quotes.
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
GO_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"'}


def unquoted(literal: str) -> str:
    """Read a string literal as Go does; only the escapes that are used."""

    def character(match: re.Match[str]) -> str:
        if match["code"]:
            return chr(int(match["code"], 16))
        return GO_ESCAPES[match["letter"]]

    return re.sub(r"\\(?:U(?P<code>[0-9a-f]{8})|(?P<letter>.))", character, literal[1:-1])


@given(TEXT)
def test_a_quoted_value_is_one_string_and_reads_back_the_same(value: str) -> None:
    literal = quoted(value)
    assert STRING.fullmatch(literal)
    assert unquoted(literal) == value


@given(TEXT, TEXT)
def test_a_regular_expression_matches_its_value_and_nothing_else(value: str, other: str) -> None:
    pattern = re.compile(regex_literal(value))
    assert pattern.fullmatch(value)
    assert (pattern.fullmatch(other) is not None) == (other == value)


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_values_never_change_the_shape_of_a_query(values: list[str]) -> None:
    query = str(
        Aggregation("sum", "by", ("pod",), LastOver(Series("m", (OneOf("agent", values),)), 30))
    )
    shape = STRING.sub("S", query)
    assert shape == "sum by (pod) (last_over_time(m{agent=~S}[30000ms]))"


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        quoted("\ud800")


@pytest.mark.parametrize(
    "query",
    [
        Series("m{}"),
        Series(""),
        Series("m", (OneOf('a"', ["x"]),)),
        Series("m", (OneOf("a-b", ["x"]),)),
        Aggregation("sum", "by", ("a)",), SampleTime(Series("m"))),
        Aggregation("topk", "by", ("a",), SampleTime(Series("m"))),
        Aggregation("sum", "on", ("a",), SampleTime(Series("m"))),
        LastOver(Series("m"), 0.0),
    ],
)
def test_what_is_no_name_or_window_makes_no_query(query: object) -> None:
    with pytest.raises(ValueError, match=r"not a name|no aggregation|window"):
        str(query)
