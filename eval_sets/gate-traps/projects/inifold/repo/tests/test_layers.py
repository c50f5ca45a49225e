import pytest

from inifold import expand, merge


def test_later_layers_win():
    assert merge({"net": {"port": "80"}}, {"net": {"port": "8080"}}) == {"net": {"port": "8080"}}


def test_merge_keeps_the_other_keys_of_a_section():
    base = {"net": {"host": "box", "port": "80"}, "log": {"level": "info"}}
    assert merge(base, {"net": {"port": "8080"}}) == {
        "net": {"host": "box", "port": "8080"},
        "log": {"level": "info"},
    }


def test_expand():
    assert expand("${user}@${host} $$5", {"user": "ann", "host": "box"}) == "ann@box $5"


def test_expand_unknown():
    with pytest.raises(KeyError):
        expand("${nobody}", {})
