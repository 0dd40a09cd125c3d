"""The rules in CEL, evaluated offline: the same table that the API server is tested with."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import celpy
import pytest
from celpy.adapter import json_to_cel
from celpy.celtypes import BoolType, DoubleType, IntType
from kubernetes.utils import parse_quantity

from agent_operator.api import crd
from tests.bad_input import AGAINST_A_RULE, BAD_NAMES, GOOD_NAMES, NAME_MESSAGE, BadInput
from tests.factories import agent_manifest
from tests.good_input import GOOD
from tests.schema_defaults import with_defaults

_SCHEMA = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


# What the API server knows beyond the CEL standard.
def _is_sorted(values: Any) -> Any:
    return BoolType(list(values) == sorted(values))


def _compare_to(left: Any, right: Any) -> Any:
    return IntType((left > right) - (left < right))


def _quantity(text: Any) -> Any:
    return DoubleType(float(parse_quantity(str(text))))  # type: ignore[no-untyped-call]


_FUNCTIONS: dict[str, Any] = {
    "isSorted": _is_sorted,
    "quantity": _quantity,
    "compareTo": _compare_to,
}


def _stored(change: Mapping[str, Any]) -> Any:
    return with_defaults(agent_manifest(change), _SCHEMA)


@cache
def _program(rule: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(rule), functions=_FUNCTIONS)


def _broken_rules(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and message of every broken rule, as the API server reports them."""
    for rule in schema.get("x-kubernetes-validations", []):
        if not _program(rule["rule"]).evaluate({"self": json_to_cel(value)}):
            yield (path + rule.get("fieldPath", "")).lstrip("."), rule["message"]
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _broken_rules(item, schema["items"], f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, child in value.items():
            if name in schema.get("properties", {}):
                yield from _broken_rules(child, schema["properties"][name], f"{path}.{name}")


@pytest.mark.parametrize("case", AGAINST_A_RULE.values(), ids=AGAINST_A_RULE.keys())
def test_a_bad_object_breaks_the_rule_that_names_its_fix(case: BadInput) -> None:
    broken = dict(_broken_rules(_stored(case.change), _SCHEMA))
    assert case.message in broken.get(case.field, "")


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD.keys())
def test_a_good_object_breaks_no_rule(change: Mapping[str, Any]) -> None:
    assert dict(_broken_rules(_stored(change), _SCHEMA)) == {}


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_good_name_breaks_no_rule(name: str) -> None:
    assert dict(_broken_rules(agent_manifest(name=name), _SCHEMA)) == {}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_breaks_the_rule_of_names(name: str) -> None:
    broken = dict(_broken_rules(agent_manifest(name=name), _SCHEMA))
    assert NAME_MESSAGE in broken.get("", "")
