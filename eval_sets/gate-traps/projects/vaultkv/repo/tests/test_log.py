import pytest

from vaultkv.log import LogError, compacted, line, replay
from vaultkv.store import Store


def test_line():
    assert line("set", "a", [1]) == '{"do": "set", "key": "a", "value": [1]}'
    assert line("del", "a") == '{"do": "del", "key": "a"}'


def test_replay():
    store = Store()
    text = line("set", "a", 1) + "\n" + line("set", "b", 2) + "\n" + line("del", "a") + "\n"
    assert replay(text, store) == 3
    assert store.keys() == ["b"]


def test_cut_off():
    store = Store()
    assert replay(line("set", "a", 1) + "\n" + '{"do": "se', store) == 1


def test_broken_line():
    with pytest.raises(LogError, match="line 1"):
        replay("nonsense\n", Store())


def test_compacted():
    text = "\n".join([line("set", "a", 1), line("set", "b", 2), line("set", "a", 3), line("del", "b")])
    assert compacted(text) == line("set", "a", 3) + "\n"
