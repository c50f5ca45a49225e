"""What people write when they want a service, and what is read of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objects.manifest import NAME
from objects.requests import BadRequest, read_request
from tests.objects.code_cases import ACCOUNT, MANIFEST, SCENARIO

CODE = f"```python\n{ACCOUNT}```\n"
MANIFEST_BLOCK = f"```json\n{json.dumps(MANIFEST)}\n```\n"


@pytest.mark.parametrize(
    ("title", "body", "name"),
    [
        ("Make a service that counts visits", "", "counts-visits-ab12"),
        ("Make a service `account` that adds", "", "account"),
        ("a service called 'account'", "", "account"),
        ("a service 'x'", "Service: account", "account"),
        ("a service", "service: one\n\nada answers:\n\nType: `two`", "two"),
        ("42 things", "```\nService: not-this\n```", "service-42-things-ab12"),
        ("???", "", "service-ab12"),
    ],
)
def test_a_service_has_the_name_that_is_given_or_one_of_its_own(title: str, body: str, name: str) -> None:
    assert read_request(title, body, "ab12").name == name


def test_of_several_blocks_the_last_counts_and_the_wish_is_without_them() -> None:
    scenarios = f"~~~json\n{json.dumps([SCENARIO])}\n~~~\n"
    asked = read_request("An account", f"```py\nold\n```\nIt adds.\n\n{CODE}\n{MANIFEST_BLOCK}{scenarios}", "ab12")
    assert asked.source == ACCOUNT and asked.manifest == MANIFEST and asked.scenarios == [SCENARIO]
    assert "It adds." in asked.wish and "handle" not in asked.wish


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (CODE, "brings code without manifest"),
        (MANIFEST_BLOCK, "brings a manifest without code"),
        (f"{CODE}```json\n{{\n```\n", "JSON cannot be read"),
        (f"{CODE}```json\n" + "[" * 100_000 + "\n```\n", "JSON cannot be read"),
        (f'{CODE}```json\n{{"methods": {{}}}}\n```\n', "methods: must be"),
        (f'{CODE}{MANIFEST_BLOCK}```json\n[{{"name": 1}}]\n```\n', "scenarios[0]"),
        ("Service: Über/Konto", "is no name of a type"),
    ],
)
def test_what_cannot_be_carried_out_is_said(body: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said.replace("[", r"\[")):
        read_request("An account", body, "ab12")


@given(st.text(max_size=300), st.text(alphabet="`~ \nServictyp:json[]{}", max_size=200))
def test_any_text_is_read_or_refused(title: str, body: str) -> None:
    try:
        assert NAME.fullmatch(read_request(title, body, "ab12cd34").name)
    except BadRequest:
        return
