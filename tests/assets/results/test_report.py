import uuid

from assets.results.report import AttemptRecord, commit_message, describe, render
from assets.shared.markdown import cell, code, fenced
from core.work import (
    CandidateCounts,
    Evidence,
    Execution,
    GateCheck,
    Hypothesis,
    Location,
    Outcome,
    Packages,
    Patch,
    Plan,
    Reason,
    TaskContext,
    TestRun,
    Verdict,
    VerdictKind,
)

TASK = uuid.UUID(int=1)
PATCH = Patch(base_commit="c" * 40, diff="--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n")


def _run(**outcomes: Outcome) -> TestRun:
    failures = {name: "AssertionError: ```evil" for name, o in outcomes.items() if o is Outcome.FAILED}
    return TestRun(command=("pytest",), outcomes=outcomes, failures=failures, seconds=0.5, exit_code=0)


def _execution(patch: Patch | None) -> Execution:
    return Execution(
        engine="search",
        patch=patch,
        evidence=Evidence(
            sandbox="bubblewrap",
            reproduction="tests",
            target_tests=("test_a",),
            before=_run(test_a=Outcome.FAILED, test_b=Outcome.PASSED),
            after=_run(test_a=Outcome.PASSED, test_b=Outcome.PASSED) if patch else None,
            candidates=CandidateCounts(generated=30, tried=12, passed_failing_tests=2, passed_whole_suite=1),
        ),
        summary="It was the boundary.",
        seconds=1.5,
    )


CONTEXT = TaskContext(
    source="shop",
    commit="c" * 40,
    index_version="7",
    models=("wordllama",),
    locations=(
        Location(
            path="m.py",
            start_line=1,
            end_line=9,
            symbol="f",
            score=1.0,
            why=(Reason(signal="bm25", detail="a|b", contribution=0.7),),
        ),
    ),
)
PLAN = Plan(goal="g", hypotheses=(Hypothesis(claim="h"),), steps=(), acceptance=("a",))


def _verdict(kind: VerdictKind) -> Verdict:
    return Verdict(
        verdict=kind, patch_sha256=PATCH.sha256, checks=(GateCheck(name="applies", passed=True, detail="yes"),)
    )


def _record(execution: Execution, kind: VerdictKind, title: str = "Fix it", url: str | None = None) -> AttemptRecord:
    return AttemptRecord(TASK, 1, title, "github:1", url, CONTEXT, PLAN, execution, _verdict(kind))


def _render(execution: Execution, kind: VerdictKind) -> str:
    return render(_record(execution, kind))


def test_the_report_of_a_resolved_task_holds_patch_tests_and_counts() -> None:
    report = _render(_execution(PATCH), VerdictKind.PASS)
    assert "+x = 2" in report
    assert "| `test_a` | failed | passed |" in report
    assert "12 candidates were tried, and 18 more could have been made. 2 of those tried made" in report


def test_a_report_and_a_pull_request_say_why_rules_chose_the_engine() -> None:
    why = "Engine search was chosen by the rule `search:no-model`: no chat model is configured."
    chosen = _execution(PATCH).model_copy(update={"chosen": why})
    assert cell(why) in _render(chosen, VerdictKind.PASS)
    assert cell(why) in describe(_record(chosen, VerdictKind.PASS), None)
    assert "was chosen" not in _render(_execution(PATCH), VerdictKind.PASS)


def test_the_report_of_a_refused_patch_never_holds_it() -> None:
    assert "+x = 2" not in _render(_execution(PATCH), VerdictKind.FAIL)


def test_a_report_does_not_speak_of_tests_that_were_not_run() -> None:
    ended = _execution(None)
    evidence = ended.evidence.model_copy(update={"before": None, "after": None, "candidates": CandidateCounts()})
    report = _render(ended.model_copy(update={"evidence": evidence}), VerdictKind.FAIL)
    assert "No test was run." in report
    assert "They ran with" not in report
    assert "## What was tried\n\nNothing." in report


def test_a_fence_in_test_output_cannot_end_the_reports_own() -> None:
    text = fenced("a\n```\n# not a heading", "text")
    assert text.startswith("````text\n")
    assert text.endswith("\n````")
    assert "````text\nAssertionError: ```evil\n````" in _render(_execution(None), VerdictKind.FAIL)


def test_a_cell_cannot_break_its_row() -> None:
    assert cell("a | b\nc <script>") == "a \\| b c &lt;script>"
    assert cell("a \\| b") == "a \\\\\\| b", "a backslash before it does not free the pipe"


def test_a_title_brings_no_link_and_no_image() -> None:
    assert cell("![seen](http://example.org/pixel)") == "![seen]\\(http://example.org/pixel)"


def test_a_code_span_outgrows_what_is_in_it() -> None:
    assert code("test_a[x|`y`\nz]") == "``test_a[x\\|`y` z]``"
    assert code("`") == "`` ` ``"
    assert code(" ") == ""


def test_the_commit_message_states_task_evidence_and_ids() -> None:
    title = "Totals are wrong\nfor large orders " + "x" * 80
    message = commit_message(_record(_execution(PATCH), VerdictKind.PASS, title, "https://example.org/1"))
    subject, blank, *_ = message.split("\n")
    assert subject.startswith("Fix: Totals are wrong for large orders")
    assert len(subject) <= 74
    assert blank == ""
    for part in ("test_a: failed -> passed", f"Penstock-Task: {TASK}", "Penstock-Event: github:1", PATCH.sha256):
        assert part in message


def test_the_report_says_with_what_the_tests_ran() -> None:
    execution = _execution(PATCH)
    assert "They ran with Penstock's own packages." in render(_record(execution, VerdictKind.PASS))
    packages = Packages(
        python="3.12.4",
        source="uv.lock",
        versions=("a==1", "b==2"),
        key="0123456789abcdef",
        before="2024-05-06T07:08:09Z",
    )
    evidence = execution.evidence.model_copy(update={"packages": packages})
    report = render(_record(execution.model_copy(update={"evidence": evidence}), VerdictKind.PASS))
    assert (
        "They ran with Python 3.12.4 and 2 packages for uv.lock, in versions from before 2024-05-06: "
        "`penstock env show 0123456789ab`."
    ) in report
