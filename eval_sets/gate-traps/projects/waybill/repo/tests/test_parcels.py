from waybill.parcels import Parcel, label


def test_girth():
    assert Parcel(500, (10, 60, 20)).girth == 120


def test_volume():
    assert Parcel(500, (30, 20, 10)).volume_grams == 1200


def test_started_litre():
    assert Parcel(500, (11, 10, 10)).volume_grams == 400


def test_label():
    assert label(" Ada ", ["Main St 1", "", "Oslo"], "norway") == "Ada\nMain St 1\nOslo\nNORWAY"
