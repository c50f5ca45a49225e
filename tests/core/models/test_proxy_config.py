"""Wrong configurations: the message names the file, the field and the remedy."""

from pathlib import Path

import pytest

from core.models.config import ProxyConfigError, read_config

GOOD = """
[[backends]]
name = "a"
url = "http://127.0.0.1:11434"
kind = "ollama"
model = "m"
[[backends]]
name = "b"
url = "http://127.0.0.1:11435"
kind = "ollama"
model = "m"
version = "2"
[[models]]
name = "m"
versions = { "1" = 95, "2" = 5 }
"""


def _read(tmp_path: Path, text: str) -> str:
    file = tmp_path / "model-proxy.toml"
    file.write_text(text)
    try:
        read_config(file)
    except ProxyConfigError as error:
        assert str(error).startswith(f"{file}")
        return str(error)
    return ""


def test_a_good_file_is_read(tmp_path: Path) -> None:
    assert _read(tmp_path, GOOD) == ""


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('kind = "ollama"', 'kind = "olama"', ["backends[1] (a).kind", "'ollama' or 'openai'"]),
        ('kind = "ollama"', 'knid = "ollama"', ["backends[1] (a)", "kind"]),
        ('version = "2"', 'verison = "2"', ["backends[2] (b).verison", "did you mean version?"]),
        ('name = "b"', 'name = "a"', ["the name 'a' occurs twice"]),
        ("http://127.0.0.1:11435", "http://user:secret@h", ["backends[2] (b).url", "key_variable"]),
        ("http://127.0.0.1:11435", "127.0.0.1:11435", ["backends[2] (b).url"]),
        ('model = "m"\n[[backends]]', 'model = "m"\nconcurrency = 0\n[[backends]]', ["concurrency", "greater than"]),
        ('model = "m"\n[[backends]]', 'model = "m"\nweight = inf\n[[backends]]', ["weight", "finite"]),
        ('"2" = 5', '"3" = 5', ["versions names version '3', which no backend has (they have 1, 2)"]),
        ('"1" = 95, "2" = 5', '"1" = 0, "2" = 0', ["no version has a share above 0"]),
        ('versions = { "1" = 95, "2" = 5 }', "", ["has 2 versions and no shares", '"1" = 1, "2" = 1']),
        ('[[models]]\nname = "m"', '[[models]]\nname = "n"', ["'n' has no backend"]),
        ("[[models]]", "[[models]]\nwake = 1", ["models[1] (m).wake", "unknown field"]),
        ("[[models]]", '[[models]]\nshadow = { version = "2", share = 2 }', ["models[1] (m).shadow.share"]),
        ("[[models]]", '[[models]]\ndraining = ["2"]\nshadow = { version = "2", share = 1 }', ["is draining"]),
        ('version = "2"', 'wake = { seconds = 3 }\nversion = "2"', ["backends[2] (b).wake", "url and deployment"]),
        ("[[models]]", "[teams.acme]\ntokens_per_minute = 0\n[[models]]", ["teams.acme.tokens_per_minute"]),
        ("[[models]]", "[times]\nconect = 1\n[[models]]", ["times.conect", "did you mean connect?"]),
        ("[[models]]", '[access]\nmode = "none"\n[[models]]', ["access.mode", "'token' or 'open'"]),
        (GOOD, "", ["backends", "is missing"]),
        (GOOD, "backends = [", ["is not valid TOML"]),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    assert old in GOOD
    message = _read(tmp_path, GOOD.replace(old, new, 1))
    assert all(part in message for part in parts), message
    assert "secret" not in message


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ProxyConfigError, match=r"none\.toml does not exist: .*docs/model-proxy\.md"):
        read_config(tmp_path / "none.toml")
