from slugline import table


def test_wide_cells_go_on_in_the_next_line():
    rows = [("Apples from the lake", 3), ("Figs", 12)]
    assert table(rows, max_width=10) == (
        "Apples     3\nfrom the\nlake\nFigs      12"
    )


def test_header_stays_on_one_line():
    text = table([("one two", "three four")], header=("A", "B"), max_width=5)
    assert text.splitlines() == ["A    B", "----------", "one  three", "two  four"]
