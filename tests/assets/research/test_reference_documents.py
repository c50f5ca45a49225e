"""Questions about reference documents: settings with their defaults, code beside prose, notes that disagree."""

from pathlib import Path

import pytest

from assets.research.corpora.folder import FolderCorpus
from assets.research.engines.answer import Answered, answer
from assets.research.gate import judge
from assets.research.records import Evidence
from assets.research.text.quantities import named_after, quantities
from assets.research.text.words import denied

FILES = {
    "settings.rst": """Settings
========

``lanes``

  The number of lanes in which the ferry loads cars.

  *Default*: 4

``slots``

  The number of slots for bicycles on the ferry.

  *Default*: 90

port
    The port on which the booking desk listens, default 8080

pause
    How long the ferry waits. Set to 0 for no limit.
""",
    "manual.md": """# Manual

The desk runs on Python 3.12 or newer.

## Why are bookings dropped?

The kernel ends bookings that need its memory. Look for a line with its number.

## Examples

```
lanes = 12
slots = 400
```

fix a fault of the lanes in which the ferry loads cars (#3253)
""",
    "notes.md": "# Notes\n\nThe ferry loads cars in seven lanes by default.\n\n"
    "The desk runs on Python 3.9 or newer.\n\nThe booking desk listens on port 9090 by default.\n",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> FolderCorpus:
    folder = tmp_path_factory.mktemp("ferry")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return FolderCorpus("ferry", Path(folder), None)


def ask(corpus: FolderCorpus, question: str) -> Answered:
    found = answer(question, [corpus], None)
    assert found.verdict.verdict != "fail", found.verdict
    return found


def test_a_default_answers_with_the_setting_that_it_is_of(corpus: FolderCorpus) -> None:
    found = ask(corpus, "How many slots for bicycles does the ferry have?")
    assert found.report.answer == "slots: Default: 90"
    other = found.report.claims[0].model_copy(update={"theme": "lanes"})
    forged = found.report.model_copy(update={"claims": (other,), "answer": other.shown})
    checks = judge(forged, Evidence(found.passages)).checks
    assert [c.name for c in checks if not c.passed] == ["quotes are literal"]


@pytest.mark.parametrize(
    ("question", "detail"),
    [
        ("In how many lanes does the ferry load cars by default?", {"4", "seven lanes"}),
        ("Which Python version does the desk run on?", {"3.12", "3.9"}),
        ("On which port does the booking desk listen by default?", {"8080", "9090"}),
    ],
)
def test_a_note_that_contradicts_a_setting_is_told(corpus: FolderCorpus, question: str, detail: set[str]) -> None:
    conflicts = ask(corpus, question).report.conflicts
    assert [set(c.detail.split(" against ")) for c in conflicts] == [detail]


def test_code_identifiers_and_other_settings_contradict_nothing(corpus: FolderCorpus) -> None:
    for question in ("How many slots for bicycles does the ferry have?", "How long does the ferry wait?"):
        assert ask(corpus, question).report.conflicts == ()


def test_a_section_that_asks_why_gives_the_reason(corpus: FolderCorpus) -> None:
    assert "The kernel ends bookings" in ask(corpus, "Why are bookings dropped?").report.answer


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The desk does not accept cash.", ["accept"]),
        ("If the desk is full, no booking is kept.", []),
        ("The desk restarts without losing bookings.", []),
        ("A booking cannot be larger than the ferry.", []),
        ("A desk with nothing open is closed.", []),
    ],
)
def test_only_a_statement_is_denied(text: str, terms: list[str]) -> None:
    assert [term for _, term in denied(text)] == terms


@pytest.mark.parametrize(
    ("text", "name"),
    [("a fault (#3253)", "#"), ("it speaks HTTP/2", "HTTP"), ("as in RFC 9110", "RFC"), ("runs on Python 3", "Python"),
     ("Default: 4", ""), ("at most 300 seconds", "")],
)  # fmt: skip
def test_a_number_that_is_a_part_of_a_name_measures_nothing(text: str, name: str) -> None:
    assert [named_after(text, one) for one in quantities(text)] == [name]
