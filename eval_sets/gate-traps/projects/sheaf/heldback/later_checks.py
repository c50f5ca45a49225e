from sheaf import slug, table, wrap
from sheaf.slugs import unique
from sheaf.tables import transposed, widths
from sheaf.wrapping import numbered, quoted


def check_slugs():
    assert slug("  A -- b_c  ") == "a-b-c"
    assert slug("\u00c5ngstr\u00f6m 12") == "angstrom-12"
    assert slug("abcdef gh", 6) == "abcdef" and slug("abcdef gh", 9) == "abcdef-gh" and slug("abcdef gh", 8) == "abcdef"
    assert slug("toolongforthis", 5) == "note"
    assert unique("a", {"a", "a-2"}) == "a-3" and unique("a", set()) == "a" and unique("a", {"a"}) == "a-2" and unique("a", {"a", "a-3"}) == "a-2"


def check_wrapping():
    text = "It was a dark and stormy night and the rain fell in torrents"
    for width in range(1, 70):
        lines = wrap(text, width)
        assert " ".join(lines).split() == text.split()
        assert all(len(line) <= width or " " not in line for line in lines)
    assert wrap("a b", 3) == ["a b"] and wrap("a b", 3, "- ") == ["- a", "- b"]
    assert wrap("") == []
    assert quoted([]) == [] and quoted(["", "x"]) == [">", "> x"]
    assert numbered(list("abcdefghi"))[0] == "1. a"
    assert numbered([]) == [] and numbered(list("ab"), 99) == [" 99. a", "100. b"]


def check_tables():
    assert table([("a", None), (1.5, True)]) == "a    None\n1.5  True"
    assert table([("a", None), (10.25, "x")]) == "a      None\n10.25  x"
    assert table([("only",), ("a", "b")]) == "only\na     b"
    assert table([(1, "x")], ["number", "y"]) == "number  y\n------  -\n     1  x"
    assert widths([]) == [] and widths([(), (123,)]) == [3]
    assert transposed([]) == [] and transposed([["a"], []], "-") == [["a", "-"]]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
