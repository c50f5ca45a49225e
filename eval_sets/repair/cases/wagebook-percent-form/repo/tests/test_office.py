from pathlib import Path

import pytest

SHARE = Path("/srv/payroll/2024")


def test_the_share_is_mounted():
    assert SHARE.is_dir()


@pytest.mark.parametrize("month", ["01", "02"])
def test_closed_months_are_there(month):
    assert (SHARE / f"{month}.csv").read_text().startswith("name;gross")
