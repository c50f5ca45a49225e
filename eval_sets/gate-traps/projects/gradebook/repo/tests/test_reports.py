from gradebook.reports import absent, histogram, row


def test_row():
    assert row("Ada", [85, 70]) == "Ada: 2, 3 (2.5)"


def test_missed():
    assert row("Ada", [85, None]) == "Ada: 2, - (2.0)"


def test_never_there():
    assert row("Ada", [None]) == "Ada: -"


def test_histogram():
    assert histogram([1, 3, 3]) == {1: 1, 2: 0, 3: 2, 4: 0, 5: 0, 6: 0}


def test_absent():
    assert absent({"Ada": [None, 3], "Bo": [None, None]}) == ["Bo"]
