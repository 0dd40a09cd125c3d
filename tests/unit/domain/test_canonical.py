"""Canonical data: one spelling for everything that means the same."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_operator.domain.canonical import (
    canonical_json,
    canonical_quantity,
    content_hash,
    plain_number,
    pruned,
)

# As k8s.io/apimachinery v0.36.3 parses, rounds up to milli and prints them.
SPELLINGS = {
    "0": "0",
    "0.0": "0",
    "0m": "0",
    "2": "2",
    "0.5": "500m",
    "1.5": "1500m",
    "0.0001": "1m",
    "1000": "1k",
    "1500": "1500",
    "1000m": "1",
    "1500m": "1500m",
    "3000k": "3M",
    "100.000G": "100G",
    "1E": "1E",
    "512Mi": "512Mi",
    "1024Mi": "1Gi",
    "1.5Gi": "1536Mi",
    "1048576Ki": "1Gi",
    "1000Mi": "1000Mi",
    "1Ki": "1Ki",
    "0.5Ki": "512",
    "0.9765625Ki": "1k",
    "0.3Gi": "322122547200m",
}
DECIMAL_SUFFIXES, BINARY_SUFFIXES = ("", "k", "M", "G", "T"), ("Ki", "Mi", "Gi", "Ti")
SIZES = {"m": Fraction(1, 1000)}
SIZES |= {suffix: Fraction(1000**power) for power, suffix in enumerate(DECIMAL_SUFFIXES)}
SIZES |= {suffix: Fraction(1024**power) for power, suffix in enumerate(BINARY_SUFFIXES, 1)}


@pytest.mark.parametrize(("given", "stored"), SPELLINGS.items())
def test_a_quantity_is_spelled_as_the_api_server_stores_it(given: str, stored: str) -> None:
    assert canonical_quantity(given) == stored


@given(number=st.integers(0, 999), suffix=st.sampled_from(sorted(SIZES)))
def test_spelling_a_quantity_keeps_its_value_and_is_final(number: int, suffix: str) -> None:
    spelled = canonical_quantity(f"{number}{suffix}")
    digits = spelled.rstrip("mkKMGTi")
    assert Fraction(digits) * SIZES[spelled.removeprefix(digits)] == number * SIZES[suffix]
    assert canonical_quantity(spelled) == spelled


@pytest.mark.parametrize("text", ["", "Mi", "1 Gi", "-1", "1X", "1e3", ".5"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|suffix"):
        canonical_quantity(text)


def test_the_order_of_keys_and_the_spelling_of_whole_numbers_do_not_change_a_hash() -> None:
    assert content_hash({"a": 1, "b": [0.0]}) == content_hash({"b": [0], "a": 1.0})


def test_text_is_hashed_as_utf8() -> None:
    assert canonical_json({"ü": "€"}) == '{"ü":"€"}'.encode()


def test_a_number_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"temperature": float("nan")})


def test_a_fraction_stays_what_it_is() -> None:
    assert plain_number(0.1) == 0.1


def test_pruning_drops_what_is_empty_at_every_depth_but_not_an_empty_selector() -> None:
    data = {
        "nodeSelector": {},
        "affinity": {"podAffinity": {"terms": [{"labelSelector": {}, "namespaces": []}]}},
        "labels": {"canary": ""},
    }
    assert pruned(data) == {
        "affinity": {"podAffinity": {"terms": [{"labelSelector": {}}]}},
        "labels": {"canary": ""},
    }
