import itertools
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from assets.migrations.gate import evidence
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.record import Migration, TimelineEvent
from assets.migrations.report import page as pages
from assets.migrations.report import report
from assets.migrations.report.wording import event_line
from assets.platform import Platform
from core.database import Database

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>|`x`"
VOID = {"meta"}
PLAN = {"chunks": 1234, "money": 0.5, "tokens": 98765, "seconds": 4000.0, "disk_bytes": 1_900_000}


def row(metric: str, role: str, low: float | None = -0.01) -> dict[str, Any]:
    return {
        "metric": metric, "role": role, "queries": 40, "clusters": 30, "old": 0.5, "new": 0.52, "bm25": 0.4,
        "difference": None if low is None else 0.02, "low": low, "high": None if low is None else 0.05, "p": 0.2,
        "verdict": "not worse", "reason": "the interval stays within the margin",
    }  # fmt: skip


def compared(**changes: Any) -> dict[str, Any]:
    return {
        "verdict": "not worse", "queries_verdict": "not worse", "reason": "within the margin", "safe": True, "k": 10,
        "margin": 0.03, "queries": {"judged": 40, "asked": 3}, "evals": [], "agreement": 0.8,
        "metrics": [row("nDCG@10", "primary"), row("recall@10", "guard"), row("MRR@10", "info")],
        "strata": [
            {"kind": kind, "name": name, **row(metric, role)}
            for kind, name in (("language", "py"), ("source", HOSTILE))
            for metric, role in (("nDCG@10", "primary"), ("recall@10", "guard"))
        ],
        "worst": [{
            "source": "s", "query": HOSTILE, "relevant": ["a.py"], "old": ["a.py", HOSTILE], "new": [], "bm25": ["b"],
            "old_ndcg": 1.0, "new_ndcg": 0.0,
        }],
        "changed": {"better": 10, "same": 25, "worse": 5},
        "money_per_1000_queries": {"old": 0.0, "new": 0.25},
        "latency_ms": {side: {"p50": 4.0, "p95": 9.5} for side in ("old", "new")},
        "storage_bytes": {"old": 1e6, "new": 2e6}, **changes,
    }  # fmt: skip


def migration(comparison: dict[str, Any] | None, **changes: Any) -> Migration:
    values: dict[str, Any] = {
        "id": 7, "old_model": 1, "new_model": 2, "old_name": "old", "new_name": HOSTILE, "state": "judged",
        "paused": False, "options": {}, "plan": PLAN, "progress": {"chunks": 5, "total": 9},
        "comparison": comparison, "observation": None, "reason": "the gate says so", "created_at": NOW, "state_at": NOW,
    }  # fmt: skip
    return Migration(**{**values, **changes})


def events() -> list[TimelineEvent]:
    built: dict[str, Any] = {"chunks": 9, "seconds": 5000.0, "money": 0.4, "tokens": 95001, "compared_anew": 64}
    built["model_seconds"] = 2400.0
    noted: list[tuple[str, dict[str, Any]]] = [
        ("planned", {}), *(("progress", {"chunks": n, "total": 9}) for n in (1, 5, 9)), ("built", built),
        ("compared", {"verdict": "not worse", "queries": {}}),
    ]  # fmt: skip
    return [TimelineEvent(NOW + timedelta(seconds=n), kind, body) for n, (kind, body) in enumerate(noted)]


class Balanced(HTMLParser):
    """Every element that is opened is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """Needs no end tag."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_begins_with_what_to_decide_and_needs_no_network() -> None:
    page = report.as_html(migration(compared()), events())
    assert "<script" not in page
    assert not re.search(r"https?:|src=|@import|url\(", page)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "Yes: &lt;script&gt;alert(1)&lt;/script&gt;|`x` can take over from old; the comparison on queries" in page
    places = [page.index(f"<h2>{name}") for name in (
        "Quality", "By source and language", "Speed, money and storage", "Worst regressions",
        "Coverage over time", "Timeline", "Plan",
    )]  # fmt: skip
    assert page.index('class="say"') < places[0]
    assert places == sorted(places)
    assert "BM25 alone" in page
    assert "Building took 1 h 23 min for 9 chunks and cost 0.4 of an estimated 0.5." in page
    assert "10 better (25%)" in page


def test_markdown_says_the_same_and_no_cell_breaks_its_table() -> None:
    text = report.as_markdown(migration(compared()), events())
    assert text.splitlines()[2].startswith("**Yes: ")
    for line in text.splitlines():
        if line.startswith("| "):
            assert "<script" not in line.replace("\\<", "")
    head = next(line for line in text.splitlines() if line.startswith("| metric"))
    under = text.splitlines()[text.splitlines().index(head) + 2]
    assert under.count("|") == head.count("|")


@pytest.mark.parametrize(
    "left_out", ["bm25", "changed", "money_per_1000_queries", "queries_verdict", "evals", "storage_bytes"]
)
def test_a_comparison_stored_by_an_earlier_version_is_still_reported(left_out: str) -> None:
    comparison = compared()
    comparison.pop(left_out, None)
    for one in (*comparison["metrics"], *comparison["strata"], *comparison["worst"]):
        one.pop(left_out, None)
    assert "Yes: " in report.as_html(migration(comparison), events())
    assert "Yes: " in report.as_markdown(migration(comparison), events())


def test_nothing_to_compare_yet_too_few_queries_and_a_build_in_one_part_are_reported() -> None:
    for comparison in (None, compared(metrics=[row("nDCG@10", "primary", None)], strata=[], worst=[], changed={})):
        for text in (
            report.as_html(migration(comparison), events()[:2]),
            report.as_markdown(migration(comparison), []),
        ):
            assert "Migration 7" in text
    assert "Nothing can be said yet" in report.as_markdown(migration(None), [])
    once = [TimelineEvent(NOW, "progress", {"chunks": 9, "total": 9})]
    assert "polyline" in report.as_html(migration(None), once)


def test_the_first_sentence_names_who_could_not_decide() -> None:
    sentence = evidence.first_sentence(migration(compared(queries_verdict="inconclusive"), new_name="new"), [])
    assert sentence == "Not yet: the comparison on queries could not decide on the change from old to new."


def test_an_event_that_has_only_a_reason_says_it_plainly() -> None:
    judged = TimelineEvent(NOW, "judged", {"reason": "the gate says better"})
    assert event_line(judged) == "judged: the gate says better"
    assert event_line(TimelineEvent(NOW, "paused", {"reason": "busy", "chunks": 3})) == "paused: reason busy, chunks 3"


def test_a_long_build_does_not_crowd_what_came_after_it_out_of_the_timeline(
    database: Database, platform: Platform
) -> None:
    with platform.database.system() as connection:
        connection.execute("SELECT add_embedding_model('hashing-64@sha256:0', 64)")
        models = [row[0] for row in connection.execute("SELECT id FROM embedding_models ORDER BY id").fetchall()]
        made = connection.execute(
            "INSERT INTO model_migrations (old_model, new_model, options, plan) "
            "VALUES (%s, %s, '{}', '{}') RETURNING id",
            models[:2],
        ).fetchone()
        assert made
        record.note(connection, made[0], "planned")
        for number in range(2500):
            record.note(connection, made[0], "progress", {"chunks": number})
        for kind in ("built", "compared"):
            record.note(connection, made[0], kind)
        found = record.timeline(connection, made[0])
    kinds = [event.kind for event in found]
    assert (kinds[0], kinds[-2:]) == ("planned", ["built", "compared"])
    progress = [event.body["chunks"] for event in found if event.kind == "progress"]
    assert 400 <= len(progress) <= 500
    assert progress[-1] == 2499
    assert max(after - before for before, after in itertools.pairwise(progress)) <= 6


def test_page_and_markdown_show_estimates_beside_measured_values() -> None:
    shown = migration(compared(unjudged_sources=["tools", HOSTILE]))
    page, text = (
        report.as_html(
            shown,
            events(),
        ),
        report.as_markdown(shown, events()),
    )
    for plain in (re.sub(r"<[^>]+>", " ", page), text.replace("|", " ")):
        said = " ".join(plain.split())
        assert "tokens 98,765 95,001" in said
        assert "time 2 h 13 min, of it 1 h 6 min embedding 1 h 23 min" in said
        assert "vectors on disk 1.9 MB 2.0 MB" in said
        assert "built: 9 chunks in 1 h 23 min, 48% of it embedding; 64 of them embedded again" in said
        assert "No query with a known answer is about tools, " in said
    assert page.count("<details open>") == 1


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("done", "Done: new has taken over from old."),
        ("rolled-back", "Rolled back: old answers again, not new."),
        ("cancelled", "Cancelled: old has answered throughout."),
    ],
)
def test_of_a_migration_that_has_ended_the_first_sentence_says_how(state: str, said: str) -> None:
    seen = {"probes": 40, "failed": 1, "p95_ms": 61.6, "ndcg": 0.391, "old_ndcg": 0.227, "at": NOW.timestamp()}
    shown = migration(compared(), state=state, new_name="new", observation=seen, reason="40 of 40 searches failed")
    live = "Live at 2026-01-02 03:04:05: 40 searches, 1 failed, 95% within 62 ms, nDCG 0.391 against 0.227 of old."
    for text in (report.as_html(shown, events()), report.as_markdown(shown, events())):
        assert said in text
        assert live in text
        assert "40 of 40 searches failed" in text
        assert "Yes: new can take over" not in text


def test_a_metric_that_could_not_be_decided_is_not_drawn_as_good() -> None:
    open_ = [{**one, "verdict": "inconclusive", "low": -0.01} for one in compared()["metrics"]]
    drawn = pages.differences(open_, 0.03, judged=True)
    assert "bar open" in drawn
    assert "bar better" not in drawn
    assert "bar better" in pages.differences(open_, 0.03)


def test_a_later_comparison_names_the_level_that_it_is_judged_by() -> None:
    shown = migration(compared(look=2, level=0.025))
    for text in (report.as_html(shown, events()), report.as_markdown(shown, events())):
        assert "Comparison 2, judged by 97.5% intervals." in text
        assert "97.5% interval" in text
