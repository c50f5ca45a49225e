"""The durable flow: steps are done once, in any order and by any number of workers, and end in one report."""

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.platform import Platform
from assets.research import memory
from assets.research.corpora.protocol import Corpus
from assets.research.flow import pool, steps
from assets.research.flow.steps import Step, StepLost
from assets.research.flow.work import MOST_TRIES, Workshop, work
from assets.research.records import Searched, SubQuestion
from assets.research.report.kept_pages import drop_pages, keep_page
from core import tasks
from core.events import DEFAULT_TEAM, RESEARCH

TWO = "How high is the Oster dam, and why was the Oster dam built?"
OTHER_TEAM = uuid.UUID("00000000-0000-0000-0000-000000000002")


def work_off(shop: Workshop, holder: str = "w") -> list[str]:
    done = []
    while (step := work(shop, holder)) is not None:
        done.append(f"{step.kind}:{step.number}")
    return done


def report(platform: Platform, question: uuid.UUID) -> memory.StoredReport:
    with platform.database.team(DEFAULT_TEAM) as connection:
        found = memory.load_report(connection, question)
    assert found is not None
    return found


def events(platform: Platform) -> list[str]:
    return [r.event.type.rpartition(".")[2] for r in platform.log.read(RESEARCH, {}, limit=500).records]


def lapse(platform: Platform) -> None:
    """Ends every lease, as when all workers were killed."""
    with platform.database.system() as connection:
        connection.execute(
            "UPDATE research_steps SET lease_until = clock_timestamp() - interval '1 second' WHERE lease_until IS "
            "NOT NULL"
        )


def test_a_question_ends_in_one_report_and_tells_each_step(platform: Platform, shop: Workshop, asked: object) -> None:
    question = asked(TWO)  # type: ignore[operator]
    assert work_off(shop) == ["search:0", "analysis:0", "search:1", "analysis:1", "synthesis:0"]
    found = report(platform, question)
    assert "84 metres" in found.report.answer and "flooded every spring" in found.report.answer
    assert [c.kind for c in found.report.conflicts] == ["number"]
    assert found.verdict.report_sha256 == found.report.sha256 and all(c.passed for c in found.verdict.checks)
    assert events(platform) == [
        *("SubQuestionAsked", "SubQuestionAsked", "SearchCompleted", "AnalysisCompleted"),
        *("SearchCompleted", "AnalysisCompleted", "ReportReady"),
    ]


def test_asking_twice_changes_nothing(platform: Platform, shop: Workshop, asked: object) -> None:
    question = asked(TWO)  # type: ignore[operator]
    work_off(shop)
    with platform.database.team(DEFAULT_TEAM) as connection:
        one = steps.find_question(connection, question)
        steps.queue_searches(connection, platform.log, one, [])
    assert work_off(shop) == []
    assert events(platform).count("ReportReady") == 1


def test_many_workers_do_each_step_once(platform: Platform, shop: Workshop, asked: object) -> None:
    questions = [asked(TWO) for _ in range(6)]  # type: ignore[operator]
    done: list[str] = []
    workers = [threading.Thread(target=lambda n=n: done.extend(work_off(shop, f"w{n}"))) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    work_off(shop)
    assert len(done) == 6 * 5
    assert len({report(platform, question).report.sha256 for question in questions}) == 1
    assert events(platform).count("ReportReady") == 6


def test_a_step_of_a_killed_worker_is_done_by_another_and_its_own_result_is_refused(
    platform: Platform, shop: Workshop, asked: object
) -> None:
    question = asked()  # type: ignore[operator]
    lost = steps.take(platform.database, holder="dead", seconds=30)
    assert lost is not None and work(shop, "w") is None  # nobody else takes it while the lease lasts
    lapse(platform)
    assert work_off(shop) == ["search:0", "analysis:0", "synthesis:0"]
    with platform.database.team(DEFAULT_TEAM) as connection, pytest.raises(StepLost):
        steps.finish(connection, platform.log, lost, report(platform, question).verdict, 1.0)


def test_a_worker_that_was_thought_dead_cannot_finish_what_another_has_taken(
    platform: Platform, shop: Workshop, asked: object
) -> None:
    asked()  # type: ignore[operator]
    slow = steps.take(platform.database, holder="slow", seconds=30)
    lapse(platform)
    other = steps.take(platform.database, holder="other", seconds=30)
    assert slow is not None and other is not None and other.epoch == slow.epoch + 1
    done = Searched(sub=SubQuestion.model_validate(slow.body["sub"]), passages=())
    with platform.database.team(DEFAULT_TEAM) as connection, pytest.raises(StepLost):
        steps.finish(connection, platform.log, slow, done, 1.0)
    with platform.database.team(DEFAULT_TEAM) as connection:
        steps.finish(connection, platform.log, other, done, 1.0)


def test_a_step_that_kills_every_worker_ends_as_not_done_and_is_told(
    platform: Platform, shop: Workshop, asked: object
) -> None:
    question = asked()  # type: ignore[operator]
    for _ in range(MOST_TRIES):
        assert steps.take(platform.database, holder="dead", seconds=30) is not None
        lapse(platform)
    work_off(shop)
    found = report(platform, question).report
    assert not found.answered and any("given up after" in note for note in found.notes)


def lease(platform: Platform) -> datetime:
    with platform.database.system() as connection:
        row = connection.execute("SELECT lease_until FROM research_steps WHERE state = 'queued'").fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


def test_a_step_that_takes_longer_than_its_lease_stays_its_workers(
    platform: Platform, shop: Workshop, asked: object
) -> None:
    asked()  # type: ignore[operator]
    taken: list[Step | None] = []

    def slow(one: steps.Question) -> Sequence[Corpus]:
        first = lease(platform)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (lease(platform) > first and datetime.now(UTC) > first):
            time.sleep(0.05)
        taken.append(steps.take(platform.database, holder="other", seconds=30))
        return shop.corpora(one)

    assert work(replace(shop, corpora=slow, lease_seconds=1.5), "w") is not None
    assert taken == [None] and work_off(shop) == ["analysis:0", "synthesis:0"]


def test_a_pool_outlives_a_step_that_fails_and_shows_no_lag_when_nothing_waits(
    platform: Platform, shop: Workshop, asked: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PAUSE_SECONDS", 0.05)
    first, second = asked("How many species of fish are there?"), asked()  # type: ignore[operator]

    def failing(one: steps.Question) -> Sequence[Corpus]:
        if one.id == first:
            raise ZeroDivisionError("a fault of a corpus")
        return shop.corpora(one)

    committed: list[dict[int, int]] = []
    monkeypatch.setattr(platform.log, "commit_group", lambda group, topic, offsets: committed.append(dict(offsets)))
    done = pool.run_pool(replace(shop, corpora=failing), platform.log, 1, stop=threading.Event(), idle_seconds=0.6)
    assert (done.steps, done.failures) == (3, 1)
    assert report(platform, second).report.answered
    assert committed and committed[-1] == dict(platform.log.end_offsets(RESEARCH))


def test_questions_take_turns(platform: Platform, shop: Workshop, asked: object) -> None:
    long, short = asked(TWO), asked()  # type: ignore[operator]
    taken = [steps.take(platform.database, holder="w", seconds=30) for _ in range(2)]
    assert [step.question_id for step in taken if step] == [long, short]


def test_a_cancelled_question_is_left_alone(platform: Platform, shop: Workshop, asked: object) -> None:
    question = asked()  # type: ignore[operator]
    work(shop, "w")
    with platform.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, platform.log, steps.find_question(connection, question).task_id)
    assert work_off(shop) == []


def test_a_question_without_time_left_ends_and_says_so(platform: Platform, shop: Workshop, asked: object) -> None:
    question = asked(seconds=-1.0)  # type: ignore[operator]
    work_off(shop)
    found = report(platform, question).report
    assert not found.answered and any("no time was left" in note for note in found.notes)


def test_a_source_deleted_between_search_and_synthesis_is_not_cited(
    platform: Platform, shop: Workshop, asked: object
) -> None:
    question = asked()  # type: ignore[operator]
    for _ in range(2):
        work(shop, "w")
    with platform.database.team(DEFAULT_TEAM) as connection:
        assert memory.forget(connection, "docs", "dam.md").passages == 1
    work_off(shop)
    found = report(platform, question)
    assert "84 metres" not in found.report.model_dump_json()
    assert "91 metres" in found.report.answer and not found.report.conflicts
    assert found.verdict.verdict != "fail" and any("source was deleted" in note for note in found.report.notes)


def test_deleting_a_source_removes_what_rests_on_it(platform: Platform, shop: Workshop, asked: object) -> None:
    dam, fish = asked(), asked("How many species of fish does the lake have?")  # type: ignore[operator]
    work_off(shop)
    assert report(platform, fish).report.answered
    pages = {
        question: keep_page(platform.settings.home, question, report(platform, question)) for question in (dam, fish)
    }
    with platform.database.team(DEFAULT_TEAM) as connection:
        gone = memory.forget(connection, "docs", "dam.md")
        assert (gone.passages, gone.questions) == (1, (dam,)) and gone.claims >= 1
        assert memory.load_report(connection, dam) is None
        assert memory.load_report(connection, fish) is not None
        assert connection.execute("SELECT count(*) FROM research_vectors").fetchone() == (2,)
        steps_left = str(connection.execute("SELECT output FROM research_steps").fetchall())
        assert "84 metres" not in steps_left
    drop_pages(platform.settings.home, gone.questions)
    assert not pages[dam].exists() and pages[fish].exists()


def test_a_text_in_two_sources_outlives_one_of_them(
    platform: Platform, shop: Workshop, asked: object, docs: Path
) -> None:
    (docs / "copy.md").write_text((docs / "dam.md").read_text())
    question = asked("Why was the Oster dam built?")  # type: ignore[operator]
    work_off(shop)
    with platform.database.team(DEFAULT_TEAM) as connection:
        stored = connection.execute("SELECT address FROM research_passages ORDER BY 1").fetchall()
    assert len(stored) == 3  # the search gives one place of a text
    with platform.database.team(DEFAULT_TEAM) as connection:
        memory.store_passages(
            connection,
            DEFAULT_TEAM,
            [p.model_copy(update={"address": "elsewhere.md"}) for p in report(platform, question).passages.values()],
        )
        assert memory.forget(connection, "docs", "dam.md").questions == ()


def test_a_follow_up_finds_what_memory_holds(platform: Platform, shop: Workshop, asked: object, docs: Path) -> None:
    asked("Why was the Oster dam built?")  # type: ignore[operator]
    work_off(shop)
    docs.rename(docs.with_name("gone"))
    question = asked("How high is the Oster dam?")  # type: ignore[operator]
    work_off(shop)
    found = report(platform, question).report
    assert "84 metres" in found.answer and any("could not be searched" in note for note in found.notes)


def test_a_document_that_has_changed_is_not_remembered_as_it_was(
    platform: Platform, shop: Workshop, asked: object, docs: Path
) -> None:
    asked("How high is the Oster dam?")  # type: ignore[operator]
    work_off(shop)
    (docs / "dam.md").write_text((docs / "dam.md").read_text().replace("84", "91"))
    question = asked("How high is the Oster dam?")  # type: ignore[operator]
    work_off(shop)
    found = report(platform, question).report
    assert "91 metres" in found.answer and not found.conflicts


def test_no_team_sees_what_another_has_read(platform: Platform, shop: Workshop, asked: object) -> None:
    question = asked()  # type: ignore[operator]
    work_off(shop)
    with platform.database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (OTHER_TEAM,))
    hashes = report(platform, question).report.sources
    with platform.database.team(OTHER_TEAM) as connection:
        assert memory.load_report(connection, question) is None
        assert memory.load_passages(connection, hashes) == {}
        assert memory.nearest(connection, shop.embedder, "Oster dam", 10, ["docs"]) == []
        assert memory.forget(connection, "docs").passages == 0
