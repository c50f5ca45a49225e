import sys

sys.path.insert(0, "src")

from textgrid.columns import columns
from textgrid.numbers import duration, human_size
from textgrid.words import ordinal, plural, shorten, title


def check_words():
    for ending in ("", "…", "..", "...", "[..]", " (more)"):
        for width in range(8, 20):
            short = shorten("a rather long story about words", width, ending)
            assert len(short) == width and short.endswith(ending)
    assert shorten("abc", 3, "....") == "abc" and shorten("abcdef", 2, "...") == ".."
    teens = [ordinal(n) for n in (111, 112, 113, 211, 1012, 101, 122, 14, 110)]
    assert teens == ["111th", "112th", "113th", "211th", "1012th", "101st", "122nd", "14th", "110th"]
    assert plural(-2, "day") == "-2 days" and plural(-1, "child", "children") == "-1 child"
    assert title("a tale of a tub") == "A Tale of a Tub" and title("") == ""


def check_numbers():
    sizes = [human_size(n) for n in (1000, 1010, 1023, 1024, 1025, 1024**3, 1024**5, 1024**2 - 1024)]
    assert sizes == ["1000 B", "1010 B", "1023 B", "1.0 kB", "1.0 kB", "1.0 GB", "1024.0 TB", "1023.0 kB"]
    assert duration(3600) == "1:00:00"


def check_columns():
    assert columns(["abcdefgh"], 3) == ["abcdefgh"] and columns([]) == [] and columns([""]) == [""]
    assert columns(list("abcdef"), 7) == ["a  c  e", "b  d  f"]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
