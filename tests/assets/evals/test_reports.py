"""Reports and queries: the verdict comes first, data never becomes markup, and hostile SQL reaches only the results."""

import json
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from assets.evals.compare.comparison import Comparison, compare_runs
from assets.evals.report.formats import parts_of, to_json
from assets.evals.report.page import set_html
from assets.evals.report.summary import summarise, trend
from assets.evals.runs.query import QueryRefused, query
from assets.evals.runs.scripted import ScriptedSubject
from assets.evals.runs.store import ResultStore
from assets.evals.runs.subject import Attempt, CaseResult
from assets.evals.runs.trajectories import kept_file
from assets.evals.sets.eval_set import EvalSet
from tests.assets.evals.eval_cases import plain_set, run_it, scripted

HOSTILE = "<script>alert(1)</script>&\x00\x1b[31m"


class Talking(ScriptedSubject):
    """Writes trajectories with hostile text."""

    def solve(self, attempt: Attempt) -> CaseResult:
        found = super().solve(attempt)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"seconds": n, "kind": "look", "body": {"said": HOSTILE * 4}}) for n in range(80)]
        (attempt.folder / "t.jsonl").write_text("\n".join([*lines, "not json <img src=x>"]))
        return CaseResult(found.outcome, found.success, found.metrics, HOSTILE, "t.jsonl")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    return ResultStore(tmp_path_factory.mktemp("evals"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> EvalSet:
    return plain_set(tmp_path_factory.mktemp("sets") / "toy", 120)


@pytest.fixture(scope="module")
def compared(store: ResultStore, found: EvalSet) -> Comparison:
    first = Talking(scripted("base", skill=1.2).quality, "base")
    second = Talking(scripted("cand", skill=-0.2, seed=3).quality, "cand")
    return compare_runs(store, run_it(store, found, first, repeats=2), run_it(store, found, second, repeats=2))


class Tags(HTMLParser):
    """Collects tags and text, and whether tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.said = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def test_the_page_is_self_contained_starts_with_the_verdict_and_escapes_everything(
    compared: Comparison, store: ResultStore
) -> None:
    page = Tags()
    text = parts_of(compared, store)["report.html"]
    page.feed(text)
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "b>text"} & set(page.tags)
    assert page.tags.count("svg") == 4, "effects, strata, iterations and cost"
    assert page.links and set(page.links) <= set(parts_of(compared, store)), "links lead to what lies beside it"
    body = page.said[page.said.index("against the baseline") :]
    assert body.index("Worse: cand is worse than base") < body.index("Effects")
    assert HOSTILE[:25] in page.said
    assert "entries omitted" in page.said
    assert "<b>text</b>" in page.said


def test_a_flipped_case_has_a_page_with_both_trajectories_and_patches(compared: Comparison, store: ResultStore) -> None:
    parts = parts_of(compared, store)
    names = [name for name in parts if name.startswith("flips/")]
    assert {f"flips/lost-{flip.case}.html" for flip in compared.lost} <= set(names)
    assert len(names) == len(compared.lost) + len(compared.gained)
    page = Tags()
    page.feed(parts[f"flips/lost-{compared.lost[0].case}.html"])
    assert page.open == [] and "script" not in page.tags
    assert page.links == [f"../report.html#lost-{compared.lost[0].case}"]
    assert "base: correct" in page.said and "cand: unresolved" in page.said
    assert page.said.count("look") == 160, "all of both, where the report shows the beginning and the end"
    assert HOSTILE[:25] in page.said


def test_the_total_size_of_flip_pages_is_bounded(
    compared: Comparison, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.evals.report.page.PAGES_BYTES", 100_000)
    pages = [name for name in parts_of(compared, store) if name.startswith("flips/")]
    assert 0 < len(pages) < len(compared.lost)


def test_earlier_runs_of_both_subjects_are_shown_if_there_are_any(
    compared: Comparison, store: ResultStore, found: EvalSet
) -> None:
    before = parts_of(compared, store)["report.html"]
    run_it(store, found, scripted("base", skill=1.2), "base-again")
    after = parts_of(compared, store)["report.html"]
    assert "Success over time" not in before and "Success over time" in after


def test_markdown_json_and_junit_agree_with_the_page(compared: Comparison, store: ResultStore) -> None:
    parts = parts_of(compared, store)
    assert parts["report.md"].startswith("**Worse: cand is worse than base")
    read = json.loads(parts["report.json"])
    assert (read["verdict"], read["cases"]) == ("worse", 120)
    assert [effect["metric"]["name"] for effect in read["effects"]] == ["success", "iterations", "cost"]
    suite = ET.fromstring(parts["junit.xml"])[0]  # noqa: S314
    assert (suite.get("tests"), suite.get("errors")) == ("3", "0")
    assert int(suite.get("failures") or 0) >= 2
    assert [case.get("name") for case in suite] == ["verdict", "success", "iterations"]


def test_an_inconclusive_comparison_is_an_error_in_junit_and_has_a_page(store: ResultStore, tmp_path: Path) -> None:
    small = plain_set(tmp_path / "small", 9)
    runs = [run_it(store, small, scripted(name, seed=n), f"small-{name}") for n, name in enumerate(("a", "b"))]
    parts = parts_of(compare_runs(store, *runs), store)
    suite = ET.fromstring(parts["junit.xml"])[0]  # noqa: S314
    assert (suite.get("failures"), suite.get("errors")) == ("0", "3")
    assert "may or may not be worse" in parts["report.html"]


@pytest.mark.parametrize("name", ["../../run.json", "/etc/passwd", "case-000-0", "gone/t.jsonl"])
def test_a_trajectory_is_only_read_inside_its_run(store: ResultStore, compared: Comparison, name: str) -> None:
    assert kept_file(store, "base", name) is None
    assert kept_file(store, "base", "case-000-0/t.jsonl") is not None


def test_a_page_of_all_runs_warns_of_different_versions(store: ResultStore, compared: Comparison) -> None:
    runs = [one for one in trend(store, "toy") if one.record.set_sha256 == compared.baseline.record.set_sha256]
    assert "cannot be compared" not in set_html("toy", runs)
    other = summarise(store, runs[0].record.model_copy(update={"set_version": "2.0.0"}))
    assert "different versions of the set: 1.0.0, 2.0.0" in set_html("toy", [*runs, other])
    part = summarise(store, runs[0].record.model_copy(update={"split": "main"}))
    assert f"{runs[0].record.subject} (main)" in set_html("toy", [*runs, part]), "other cases are another line"
    twin = summarise(store, runs[0].record.model_copy(update={"set_sha256": "f" * 64}))
    assert "1.0.0 ffffffff" in set_html("toy", [*runs, twin]), "one name and version, but other cases"


def test_a_query_sees_every_result_with_its_versions(store: ResultStore, compared: Comparison) -> None:
    asked = query(
        store, "SELECT subject, set_version, count(*), avg(success::INT) FROM results WHERE run IN ('base', 'cand') "
        "GROUP BY ALL ORDER BY subject",
    )  # fmt: skip
    assert [row[:3] for row in asked.rows] == [("base", "1.0.0", 240), ("cand", "1.0.0", 240)]
    assert asked.columns[:2] == ("subject", "set_version")
    assert asked.rows[0][3] == pytest.approx(compared.effects[0].baseline)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE results",
        "SELECT 1; SELECT 2",
        "",
        "COPY results TO '/tmp/penstock-stolen.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM '/etc/passwd'",
        "ATTACH '/tmp/penstock-other.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "SELECT nothing FROM results",
        "SELECT " + "(" * 100_001,
    ],
)
def test_what_is_not_a_select_over_the_results_is_refused(store: ResultStore, compared: Comparison, sql: str) -> None:
    with pytest.raises(QueryRefused):
        query(store, sql)
    assert not Path("/tmp/penstock-stolen.csv").exists()


def test_an_endless_query_is_stopped(store: ResultStore, compared: Comparison) -> None:
    began = time.monotonic()
    with pytest.raises(QueryRefused, match=r"took longer than 0\.5 seconds"):
        query(store, "SELECT sum(sin(i) * cos(i)) FROM range(100000000000) t(i)", seconds=0.5)
    assert time.monotonic() - began < 300


def test_a_query_that_keeps_the_parser_busy_is_stopped(store: ResultStore, compared: Comparison) -> None:
    with pytest.raises(QueryRefused):
        query(store, "SELECT " + "(" * 5000, seconds=0.5)


def test_a_query_that_needs_too_much_memory_is_refused(store: ResultStore, compared: Comparison) -> None:
    with pytest.raises(QueryRefused, match=r"(?i)memory|longer"):
        query(store, "SELECT list(i ORDER BY i DESC) FROM range(4000000000) t(i)", seconds=20)


def test_the_number_of_rows_returned_is_limited(store: ResultStore, compared: Comparison) -> None:
    asked = query(store, "SELECT * FROM range(100000)", rows=10)
    assert (len(asked.rows), asked.more) == (10, True)


def test_numbers_that_are_not_finite_become_null(compared: Comparison) -> None:
    json.loads(json.dumps(to_json(compared), allow_nan=False))
