import pytest

from parcelquote.parcel import Parcel
from parcelquote.rounding import round_up_to


def test_size_and_weight_are_read_from_text():
    parcel = Parcel.from_text(" 40X30x20 ", "2.4")
    assert (parcel.length, parcel.width, parcel.height, parcel.grams) == (40, 30, 20, 2400)


@pytest.mark.parametrize("size", ["40x30", "40x30x", "a x b x c", "40*30*20"])
def test_sizes_written_otherwise_are_refused(size):
    with pytest.raises(ValueError, match="write it like"):
        Parcel.from_text(size, "1")


def test_girth_is_the_longest_side_plus_once_around():
    assert Parcel(20, 50, 10, 500).girth == 50 + 2 * 30


def test_a_light_but_large_parcel_is_charged_by_volume():
    assert Parcel(50, 40, 30, 900).chargeable_grams == 12000


def test_a_heavy_but_small_parcel_is_charged_by_weight():
    assert Parcel(20, 20, 10, 9100).chargeable_grams == 9100


def test_volumetric_weight_is_rounded_up_to_a_hundred_grams():
    assert Parcel(21, 20, 10, 100).volumetric_grams == 900


@pytest.mark.parametrize(("value", "rounded"), [(0, 0), (1, 100), (100, 100), (101, 200)])
def test_rounding_up(value, rounded):
    assert round_up_to(value, 100) == rounded


def test_a_parcel_needs_a_weight():
    with pytest.raises(ValueError, match="weight"):
        Parcel(10, 10, 10, 0)
