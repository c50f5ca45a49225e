import doctest

from feedmix.items import Item, read, short
from feedmix.merging import latest, merged, retitled, since, tagged
from feedmix.pages import page, pages, row

A, B, C = Item("a", "x", 3, ("n",)), Item("b", "y", 3), Item("c", "z", 1, ("n", "m"))


def check_items():
    assert read("") == [] and read("u|# a #b|1")[0].tags == ("b",) and read("a|b|c|4\n|t|0") == [Item("", "t", 0)] and read("a|b|-4") == []
    assert read("u|#A b#c #d &lt;#e|2") == [Item("u", "#A b#c #d <#e", 2, ("a", "d"))]
    for limit in range(2, 40):
        text = "Heavy rain in the mountains tonight"
        cut = short(text, limit)
        assert len(cut) <= limit and (cut == text or cut.endswith("\u2026") and text.startswith(cut[:-1]))
    assert short("abcdef", 4) == "abc\u2026" and short("ab cd ef", 6) == "ab cd\u2026" and short("", 3) == ""


def check_merging():
    assert len(merged([[Item(f"k{n}", "Weather report", n) for n in range(5)]])) == 5
    assert merged([]) == [] and merged([[C, B], [A]]) == [A, B, C]
    assert merged([[Item("a", "new", 9)], [A], [Item("a", "mid", 5)]]) == [Item("a", "new", 9)]
    assert latest([A, B, C], 2) == [A, B] and latest([C, B, A], 1) == [B] and latest([A], 9) == [A] and latest([A], 0) == []
    assert tagged([A, B, C], ["N"]) == [A, C] and tagged([A, B], ["q"]) == [] and tagged((A, B), ()) == [A, B]
    assert tagged([A, B, C], ["m", "x"]) == [C]
    assert since([A, B, C], 2) == [A, B] and since([A, C], 1) == [A, C] and since([], 0) == []
    assert retitled([C], "P") == [Item("c", "P: z", 1, ("n", "m"))] and C.title == "z"
    assert [type(result).__name__ for result in (merged([[A]]), latest([A], 1), since([A], 0))] == ["list"] * 3
    assert Item("a", "x", 3) == Item("a", "x", 3) and Item("a", "x", 3) != Item("a", "x", 4) and A != B


def check_pages():
    assert pages([], 1) == [[]] and pages(list("abcd"), 2) == [["a", "b"], ["c", "d"]] and pages(["a"], 9) == [["a"]]
    assert row(Item('"', "a" * 40, 1)) == '<a href="&quot;">' + "a" * 29 + "\u2026</a>"
    assert page([]) == "<ul></ul>" and page([A, B]).count("<li>") == 2
    assert row(Item("u", "&amp;", 1)) == '<a href="u">&amp;amp;</a>'


def check_readme():
    assert doctest.testfile("README.md", module_relative=False).failed == 0


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
