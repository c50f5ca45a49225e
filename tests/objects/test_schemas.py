"""The part of JSON Schema that is supported: what fits, what does not, and where."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from objects.manifest import BadManifest, read_manifest
from objects.model import load
from objects.schemas import BadSchema, DoesNotFit, check, check_schema, examples

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-5, 5).map(lambda x: round(x, 1))
    | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
LIMITS = st.integers(0, 4)


def _schemas() -> st.SearchStrategy[dict[str, Any]]:
    leaf = st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
            | st.lists(st.sampled_from(["string", "null", "integer"]), min_size=1, max_size=2, unique=True),
            "minimum": LIMITS, "maximum": LIMITS, "minLength": LIMITS, "maxLength": LIMITS, "minItems": LIMITS,
            "maxItems": LIMITS, "enum": st.lists(VALUES, min_size=1, max_size=3), "const": VALUES,
            "required": st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
        },
    )  # fmt: skip

    def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {},
            optional={
                "properties": st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
                "items": inner,
                "additionalProperties": st.booleans() | inner,
                "type": st.sampled_from(["object", "array"]),
            },
        )

    return st.recursive(leaf, nested, max_leaves=4)


@given(_schemas(), VALUES)
def test_it_agrees_with_the_reference_implementation(schema: dict[str, Any], value: Any) -> None:
    check_schema(schema)
    try:
        check(value, schema)
        fits = True
    except DoesNotFit:
        fits = False
    assert fits == Draft202012Validator(schema).is_valid(value)


@given(_schemas())
def test_examples_of_a_plain_schema_fit_it(schema: dict[str, Any]) -> None:
    for value in examples({"type": "string", "minLength": 2, "maxLength": 5}):
        check(value, {"type": "string", "minLength": 2, "maxLength": 5})
    examples(schema)  # of any schema, without an error


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"pattern": "(a+)+$"}, "'pattern' is not supported"),
        ({"$ref": "https://example.org"}, "'$ref' is not supported"),
        ({"type": "text"}, "type: 'text' is none of"),
        ({"properties": {"a": {"minimum": "1"}}}, "schema.a.minimum: must be a number"),
        ({"items": 3}, "schema.items: must be a JSON object"),
        ({"required": "a"}, "required: must be a list"),
        ({"properties": {str(n): {} for n in range(500)}}, "at most 400 parts"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(schema: Any, said: str) -> None:
    with pytest.raises(BadSchema, match="") as refused:
        check_schema(schema)
    assert said in str(refused.value)


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema: Any = {}
    for _ in range(50):
        schema = {"items": schema}
    with pytest.raises(BadSchema, match="12 levels"):
        check_schema(schema)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"methods": {}}, "methods: must be"),
        ({"methods": {"Up": {}}}, "methods.Up: a method's name"),
        ({"methods": {"a": {"argument": {"$ref": "x"}}}}, "methods.a.argument: '$ref'"),
        ({"methods": {"a": {"outside": True}}}, "methods.a.outside: is not expected"),
        ({"shards": True}, "shards: must be a number"),
        ({"shards": 2, "stateless": True}, "a stateless type has none"),
        ({"labels": {"a": "b c"}}, "labels.a"),
        ({"initial": "x" * (1 << 20)}, "128 KiB"),
        ({"hidden": True}, "manifest.hidden: is not expected"),
    ],
)
def test_a_wrong_manifest_is_refused_by_its_field(changed: Any, said: str) -> None:
    good = {"methods": {"a": {}}}
    read_manifest(good, "x", 1)
    with pytest.raises(BadManifest) as refused:
        read_manifest({**good, **changed}, "x", 1)
    assert said in str(refused.value)


@given(VALUES)
def test_json_from_outside_is_read_as_it_was_written(value: Any) -> None:
    assert load(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '"\\u0000"', '{"a\\u0000": 1}', '"\\ud800"', "[" * 100_000, "{", "", '"\x00"']
)
def test_what_cannot_be_stored_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        load(text)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert load('"\\\\u0000"') == "\\u0000"
