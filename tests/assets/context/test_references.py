"""Names that code uses."""

import time

import pytest

from assets.context.chunks import LANGUAGES
from assets.context.languages.references import MOST, references


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        (
            "python",
            'def load(path):\n    """Reads text."""\n    # a remark\n return Parser(path).run("word", key=Kind.OLD)\n',
            ("path", "Parser", "run", "key", "Kind", "OLD"),
        ),
        (
            "javascript",
            "import { one } from './two'; // three\nnew Four().five(`six`);",
            ("one", "Four", "five", "six"),
        ),
        ("typescript", "class A1 extends B2 implements C3 { x9: D4<string>; }", ("A1", "B2", "C3", "x9", "D4")),
        (
            "go",
            "func (c *Cart) Add() error { return fmt.Errorf(`raw text`, c.Items) }",
            ("Cart", "fmt", "Errorf", "Items"),
        ),
        ("java", '/* words */ Cart c = Factory.make("text"); char q = \'"\';', ("Cart", "Factory", "make")),
        (
            "rust",
            "impl<'a> Shape for Cart<'a> { fn area(&self) -> f64 { area_of('x') } }",
            ("Shape", "Cart", "area_of"),
        ),
        ("cpp", 'std::vector<Item> all = Store::load("a\\"b");', ("vector", "Item", "all", "Store", "load")),
        ("c", "struct point p1 = make_point(1); // no\n", ("point", "p1", "make_point")),
        (
            "ruby",
            "class Cart < Base\n  # no\n  def total\n    items.sum { |it| it.price }\n",
            ("Base", "total", "items"),
        ),
    ],
)
def test_names_are_used_outside_of_comments_and_strings(language: str, text: str, names: tuple[str, ...]) -> None:
    own = {"python": "load", "go": "Add", "rust": "area", "ruby": "Cart"}.get(language, "")
    found = references(text, language, own)
    assert found[: len(names)] == names
    assert not {"words", "remark", "Reads", "three", "raw", "no", own} & set(found)


def test_every_language_that_is_parsed_has_references_and_text_has_none() -> None:
    without = {language.name for language in LANGUAGES if not references("Some_Name = 1", language.name)}
    assert without == {"windows", "markdown", "restructuredtext"}


def test_references_are_bounded() -> None:
    assert len(references(" ".join(f"name{n}" for n in range(10_000)), "go")) == MOST


@pytest.mark.parametrize("unit", ["'", '"""', "/*", "/* ", "\\", "`", "#{", "'a", '"\n', "'''a ", "a/*"])
def test_no_text_takes_long(unit: str) -> None:
    began = time.process_time()
    for language in LANGUAGES:
        references(unit * 30_001, language.name)
    assert time.process_time() - began < 5
