"""PromQL from typed parts: names are checked, values quoted in one place, nothing else is text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quoted(value: str) -> str:
    """Return the value as a PromQL string literal, which follows Go's quoting."""
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if (known := _ESCAPES.get(character)) is not None:
        return known
    if "\ud800" <= character <= "\udfff":
        raise ValueError("half of a surrogate pair is no character")
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def regex_literal(value: str) -> str:
    """Return a regular expression (RE2) that matches exactly the value."""
    return _REGEX_SPECIAL.sub(r"\\\g<0>", value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A matcher: the label has one of the values."""

    label: str
    values: Sequence[str]

    def __str__(self) -> str:
        _check(_LABEL, self.label)
        return f"{self.label}=~{quoted('|'.join(regex_literal(value) for value in self.values))}"


@dataclass(frozen=True, slots=True)
class Series:
    """The series of one metric that all matchers accept."""

    metric: str
    matchers: Sequence[OneOf] = ()

    def __str__(self) -> str:
        _check(_METRIC, self.metric)
        return f"{self.metric}{{{','.join(str(matcher) for matcher in self.matchers)}}}"


@dataclass(frozen=True, slots=True)
class LastOver:
    """The last sample of each series that is not older than the window."""

    series: Series
    window_seconds: float

    def __str__(self) -> str:
        milliseconds = round(self.window_seconds * 1000)
        if milliseconds <= 0:
            raise ValueError("a window is longer than nothing")
        return f"last_over_time({self.series}[{milliseconds}ms])"


@dataclass(frozen=True, slots=True)
class SampleTime:
    """When the sample of each series was taken, in Unix seconds."""

    series: Series

    def __str__(self) -> str:
        return f"timestamp({self.series})"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`operator` over what is the same by, or without, some labels."""

    operator: str  # sum, min or max
    grouping: str  # by or without
    labels: Sequence[str]
    over: "LastOver | SampleTime | Aggregation"

    def __str__(self) -> str:
        for label in self.labels:
            _check(_LABEL, label)
        if self.operator not in ("sum", "min", "max") or self.grouping not in ("by", "without"):
            raise ValueError(f"no aggregation: {self.operator} {self.grouping}")
        return f"{self.operator} {self.grouping} ({', '.join(self.labels)}) ({self.over})"


def _check(pattern: re.Pattern[str], name: str) -> None:
    if not pattern.fullmatch(name):
        raise ValueError(f"not a name in PromQL: {name!r}")
