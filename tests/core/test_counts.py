from core.counts import counted


def test_one_is_singular_and_thousands_are_grouped() -> None:
    assert [counted(number, "edit") for number in (0, 1, 2, 20_000)] == ["0 edits", "1 edit", "2 edits", "20,000 edits"]
