"""The generator on small models: each thing pydantic says and a CustomResourceDefinition cannot."""

from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from agent_operator.api.model import ApiModel, Rule
from agent_operator.api.schema import structural_schema


class Inner(ApiModel):
    """Inner text."""

    size: int = Field(default=3, ge=1)
    """How big."""


def _property(model: type[ApiModel], name: str = "value") -> dict[str, object]:
    schema: dict[str, object] = structural_schema(model, defaults=True)["properties"][name]
    return schema


def test_a_reference_is_replaced_by_what_it_points_to() -> None:
    class Outer(ApiModel):
        value: Inner
        """Outer text."""

    assert _property(Outer) == {
        "type": "object",
        "description": "Outer text.",
        "properties": {
            "size": {
                "type": "integer",
                "minimum": 1,
                "default": 3,
                "description": "How big. Default: 3.",
            }
        },
    }


def test_an_optional_field_is_neither_required_nor_null() -> None:
    class Outer(ApiModel):
        value: str | None = None
        """Text."""

    schema = structural_schema(Outer, defaults=True)
    assert schema["properties"]["value"] == {"type": "string", "description": "Text."}
    assert "required" not in schema


def test_an_object_defaults_to_the_defaults_of_its_fields() -> None:
    class Outer(ApiModel):
        value: Inner = Inner()
        """Text."""

    assert _property(Outer)["default"] == {}


def test_a_default_that_differs_from_the_fields_is_written_out() -> None:
    class Outer(ApiModel):
        value: Inner = Inner(size=5)
        """Text."""

    assert _property(Outer)["default"] == {"size": 5}


def test_a_status_has_no_defaults() -> None:
    assert structural_schema(Inner, defaults=False)["properties"]["size"] == {
        "type": "integer",
        "minimum": 1,
        "description": "How big.",
    }


def test_an_empty_default_is_left_out() -> None:
    class Outer(ApiModel):
        text: str = ""
        items: tuple[str, ...] = ()
        pairs: dict[str, str] = Field(default={})

    properties = structural_schema(Outer, defaults=True)["properties"]
    assert [name for name, schema in properties.items() if "default" in schema] == []


def test_one_constant_is_an_enum_of_one() -> None:
    class Outer(ApiModel):
        value: Literal["only"]
        """Text."""

    assert _property(Outer)["enum"] == ["only"]


def test_an_exclusive_bound_is_a_bound_and_a_flag() -> None:
    class Outer(ApiModel):
        value: float = Field(gt=0, lt=1)
        """Text."""

    schema = _property(Outer)
    assert (schema["minimum"], schema["exclusiveMinimum"]) == (0, True)
    assert (schema["maximum"], schema["exclusiveMaximum"]) == (1, True)


def test_a_list_and_a_map_carry_their_bounds_and_items() -> None:
    class Outer(ApiModel):
        items: tuple[Annotated[str, Field(max_length=5)], ...] = Field(max_length=2)
        """Items."""
        pairs: dict[str, Annotated[str, Field(max_length=5)]] = Field(max_length=2)
        """Pairs."""

    text = {"type": "string", "maxLength": 5}
    assert structural_schema(Outer, defaults=True)["properties"] == {
        "items": {"type": "array", "description": "Items.", "maxItems": 2, "items": text},
        "pairs": {
            "type": "object",
            "description": "Pairs.",
            "maxProperties": 2,
            "additionalProperties": text,
        },
    }


def test_a_rule_becomes_a_validation_of_its_object() -> None:
    class Outer(ApiModel):
        rules: ClassVar[tuple[Rule, ...]] = (
            Rule(cel="self.a", message="say a", holds=lambda _: True, field=".a"),
        )
        a: bool = False
        """Text."""

    assert structural_schema(Outer, defaults=True)["x-kubernetes-validations"] == [
        {"rule": "self.a", "message": "say a", "fieldPath": ".a"}
    ]


def test_the_lines_of_a_description_flow() -> None:
    class Outer(ApiModel):
        value: str
        """One
        paragraph.

        Another one.
        """

    assert _property(Outer)["description"] == "One paragraph.\n\nAnother one."


def test_a_union_is_refused() -> None:
    class Outer(ApiModel):
        value: int | bool

    with pytest.raises(TypeError, match="a union has no structural schema"):
        structural_schema(Outer, defaults=True)


def test_null_beside_a_default_is_refused() -> None:
    class Outer(ApiModel):
        value: Inner | None = Inner()

    with pytest.raises(TypeError, match="a merge patch with null restores the default"):
        structural_schema(Outer, defaults=True)
