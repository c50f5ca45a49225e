import pytest

from tabula import BadTable, read, write


def test_plain():
    assert read("a,b\n1,2\n") == [["a", "b"], ["1", "2"]]
    assert read("a;b", ";") == [["a", "b"]]


def test_windows_and_empty_lines():
    assert read("\ufeffa,b\r\n\r\n1,\r\n") == [["a", "b"], ["1", ""]]


def test_quotes():
    assert read('"a,b",c\n') == [["a,b", "c"]]
    assert read('say,"""hi"" there"\n') == [["say", '"hi" there']]
    assert read('"two\nlines",x') == [["two\nlines", "x"]]


def test_a_quoted_field_at_the_end():
    assert read('a,"b"') == [["a", "b"]]
    assert read('"a"\n"b"') == [["a"], ["b"]]


def test_an_empty_field_alone():
    assert read(write([["x"], [""], ["y"]])) == [["x"], [""], ["y"]]


@pytest.mark.parametrize(("text", "line"), [('"a" b', 1), ('a\n"b', 2)])
def test_what_is_refused(text, line):
    with pytest.raises(BadTable, match=f"line {line}"):
        read(text)


def test_writing():
    assert write([["a", 1, None], ['x"y', "p,q", "l\nm"]]) == 'a,1,\n"x""y","p,q","l\nm"\n'
