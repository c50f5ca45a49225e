import pytest

from parcelquote.bands import Limits, Thresholds


@pytest.fixture
def limits():
    return Limits([(5000, "medium"), (2000, "small"), (10000, "large")])


@pytest.mark.parametrize(("grams", "band"), [(1, "small"), (1999, "small"), (2001, "medium"), (9000, "large")])
def test_a_number_gets_the_first_limit_that_holds_it(limits, grams, band):
    assert limits.find(grams) == band


def test_nothing_is_found_above_the_last_limit(limits):
    assert limits.find(10001) is None


def test_the_highest_limit_is_known(limits):
    assert limits.highest == 10000


def test_rows_are_sorted(limits):
    assert [step.bound for step in limits] == [2000, 5000, 10000]


@pytest.mark.parametrize(("count", "percent"), [(24, None), (25, 3), (99, 3), (100, 6), (1000, 6)])
def test_a_threshold_holds_from_its_own_number_on(count, percent):
    assert Thresholds([(25, 3), (100, 6)]).find(count) == percent


def test_two_rows_for_one_number_are_refused():
    with pytest.raises(ValueError, match="two rows for 25"):
        Thresholds([(25, 3), (25, 4)])


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        Limits([])
