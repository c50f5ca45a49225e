"""Charts: hostile names are text, and what lies beyond the plot is told by an arrow, not drawn outside it."""

import re
from datetime import UTC, datetime

from assets.shared import charts
from assets.shared.charts import Mark, Row
from core.statistics import Interval

HOSTILE = "<script>alert(1)</script>"


def row(value: float, low: float, high: float) -> Row:
    return Row(HOSTILE, (Mark(value, Interval(low, high), "better"),), HOSTILE)


def test_names_and_notes_are_escaped_in_every_chart_of_rows() -> None:
    for drawn in (
        charts.intervals([row(0.1, 0.0, 0.2)], 0.03, HOSTILE),
        charts.rates([row(0.1, 0.0, 0.2)], HOSTILE, {"baseline": HOSTILE}),
        charts.side_by_side([(HOSTILE, 1.0, 2.0, HOSTILE)], (HOSTILE, "new"), HOSTILE),
        charts.parts_of_whole([(HOSTILE, 1, "worse")], HOSTILE),
        charts.scatter([(1.0, 2.0)], 1, (HOSTILE, HOSTILE), HOSTILE),
        charts.trend([(HOSTILE, HOSTILE, 0.5, Interval(0.4, 0.6))]),
    ):
        assert "<script" not in drawn
        assert "&lt;script&gt;" in drawn


def test_what_is_beyond_the_furthest_has_an_arrow_and_stays_in_the_plot() -> None:
    near = charts.intervals([row(1.0, 0.5, 1.5)], 1.0, "near", furthest=6.0)
    far = charts.intervals([row(40.0, -60.0, 90.0)], 1.0, "far", furthest=6.0)
    assert not set("◂▸") & set(near)
    assert near.count("<circle") == 1
    assert set("◂▸") <= set(far)
    assert "<circle" not in far
    places = [float(x) for x in re.findall(r' x[12]?="(-?[\d.]+)"', far)]
    assert 0 <= min(places) <= max(places) <= charts.WIDTH


def test_nothing_to_draw_draws_nothing_and_one_time_is_an_area_all_the_same() -> None:
    assert not charts.intervals([], 0.1, "none")
    assert not charts.parts_of_whole([("worse", 0, "worse")], "none")
    assert "<polygon" in charts.coverage([(datetime(2026, 1, 1, tzinfo=UTC), 1.0)])
