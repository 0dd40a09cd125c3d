"""Canonical data: one spelling for everything that means the same.

Revisions are hashes over it, and pod templates are rendered from it in the spelling the API server
stores, so that an object read back equals the one that was applied.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

_DECIMAL_SUFFIXES = ("m", "", "k", "M", "G", "T", "P", "E")
_BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)")

# An empty selector chooses everything, an absent one nothing: no other empty object has a meaning.
_MEANT_EMPTY = frozenset({"labelSelector", "namespaceSelector"})


def canonical_json(data: Any) -> bytes:
    """Return JSON with sorted keys and no spaces, the same for 1 and 1.0."""
    return json.dumps(
        _plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def content_hash(data: Any) -> str:
    """Return the SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(data)).hexdigest()


def plain_number(value: float) -> float:
    """Return a whole number as int, as it comes back from the API server."""
    return int(value) if value.is_integer() else value


def pruned(data: Any) -> Any:
    """Drop empty lists and objects, which the API server does not store, at every depth."""
    if isinstance(data, Mapping):
        kept = {key: pruned(value) for key, value in data.items()}
        return {
            key: value
            for key, value in kept.items()
            if value not in ({}, []) or (value == {} and key in _MEANT_EMPTY)
        }
    if isinstance(data, list):
        return [pruned(item) for item in data]
    return data


def canonical_quantity(text: str) -> str:
    """Spell a resource quantity as the API server does: `0.5` is `500m`, `1024Mi` is `1Gi`.

    Fractions of a thousandth are rounded up. Raises ValueError when it is no quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    number, suffix = Fraction(match[1]), match[2]
    if suffix in _BINARY_SUFFIXES[1:]:
        value = number * 1024 ** _BINARY_SUFFIXES.index(suffix)
        if value >= 1024 and value.denominator == 1:
            return _with_suffix(value.numerator, 1024, _BINARY_SUFFIXES)
    elif suffix in _DECIMAL_SUFFIXES:
        value = number * Fraction(1000) ** (_DECIMAL_SUFFIXES.index(suffix) - 1)
    else:
        raise ValueError(f"{text!r} has an unknown suffix")
    thousandths = -(-value.numerator * 1000 // value.denominator)
    return _with_suffix(thousandths, 1000, _DECIMAL_SUFFIXES)


def _with_suffix(number: int, base: int, suffixes: Sequence[str]) -> str:
    """Write a number of the smallest unit with the largest suffix that keeps it whole."""
    if number == 0:
        return "0"
    power = 0
    while number % base == 0 and power < len(suffixes) - 1:
        number, power = number // base, power + 1
    return f"{number}{suffixes[power]}"


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(item) for item in data]
    return plain_number(data) if isinstance(data, float) else data
