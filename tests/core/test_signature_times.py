"""A signed delivery is taken within five minutes of its time, to the second, on either side."""

from collections.abc import Callable

import pytest

from core.signatures import SignatureRefused, sign_slack, sign_standard, verify_slack, verify_standard

NOW = 1_700_000_000
SECRET = "whsec_" + "c2VjcmV0" * 4


def by_slack(at: int, now: float) -> None:
    verify_slack([SECRET], b"{}", timestamp=str(at), signature=sign_slack(SECRET, at, b"{}"), now=now)


def by_standard(at: int, now: float) -> None:
    signature = sign_standard(SECRET, "one", at, b"{}")
    verify_standard([SECRET], b"{}", identity="one", timestamp=str(at), signature=signature, now=now)


@pytest.mark.parametrize("verify", [by_slack, by_standard])
@pytest.mark.parametrize("ahead", [-300, 0, 300])
def test_within_five_minutes_it_is_taken(verify: Callable[[int, float], None], ahead: int) -> None:
    verify(NOW + ahead, NOW)


@pytest.mark.parametrize("verify", [by_slack, by_standard])
@pytest.mark.parametrize("ahead", [-301, 301])
def test_beyond_five_minutes_it_is_stale(verify: Callable[[int, float], None], ahead: int) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(NOW + ahead, NOW)
    assert refused.value.code == "timestamp-stale"
