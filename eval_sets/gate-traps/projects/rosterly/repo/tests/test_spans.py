from rosterly.spans import gaps, hours, merged, overlap


def test_overlap():
    assert overlap((8, 12), (10, 14)) == (10, 12)


def test_no_overlap():
    assert overlap((8, 12), (12, 14)) is None


def test_merged():
    assert merged([(10, 12), (8, 10), (14, 16), (15, 15)]) == [(8, 12), (14, 16)]


def test_inside():
    assert merged([(8, 16), (9, 10)]) == [(8, 16)]


def test_gaps():
    assert gaps([(9, 10), (12, 20)], (8, 16)) == [(8, 9), (10, 12)]


def test_one_gap():
    assert gaps([], (8, 16)) == [(8, 16)]


def test_hours():
    assert hours([(8, 12), (10, 14)]) == 6
