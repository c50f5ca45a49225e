"""The gate of reports: each rule refuses a report that breaks it, and nothing else."""

from collections.abc import Callable

import pytest

from assets.research.engines.synthesis import synthesise
from assets.research.gate import judge, missing_facts
from assets.research.records import (
    Analysis,
    Claim,
    Conflict,
    Cost,
    Evidence,
    Kind,
    Passage,
    Quote,
    Report,
    Searched,
    SubQuestion,
    Trust,
    text_hash,
)

TEXT = "The dam is 84 metres high. It was built by Ada Brandt in 1931."
OTHER = "The height of the dam is 91 metres."


def passage(text: str, trust: Trust = Trust.OWN) -> Passage:
    return Passage(hash=text_hash(text), text=text, address=f"{len(text)}.md", title="Dam", trust=trust)


FIRST, SECOND = passage(TEXT), passage(OTHER)
SUB = SubQuestion(number=0, text="How high is the dam?", kind=Kind.FACT, expects="number")
CONFLICT = Conflict(
    kind="number",
    first=Quote(passage=FIRST.hash, start=0, end=26),
    second=Quote(passage=SECOND.hash, start=0, end=len(OTHER)),
    detail="84 metres against 91 metres",
)
EVIDENCE = Evidence({FIRST.hash: FIRST, SECOND.hash: SECOND}, (CONFLICT,))


def report() -> Report:
    claim = Claim(number=1, text=TEXT[:26], sub=0, quotes=(Quote(passage=FIRST.hash, start=0, end=26),), score=1.0)
    analysis = Analysis(sub=SUB, answered=True, claims=(claim,), conflicts=(CONFLICT,), best=1.0)
    searched = Searched(sub=SUB, passages=(FIRST, SECOND), corpora=("docs",), documents=2)
    return synthesise("How high is the dam?", "extractive", [searched], [analysis], Cost())


def failed(one: Report, evidence: Evidence = EVIDENCE) -> list[str]:
    return [check.name for check in judge(one, evidence).checks if not check.passed]


def changed(claim: Callable[[Claim], dict[str, object]]) -> Report:
    made = report()
    first = made.claims[0]
    return made.model_copy(update={"claims": (first.model_copy(update=claim(first)),)})


def test_a_report_that_says_what_its_sources_say_passes_every_check() -> None:
    verdict = judge(report(), EVIDENCE)
    assert failed(report()) == []
    assert verdict.report_sha256 == report().sha256
    assert verdict.verdict == "draft" and verdict.reasons == ("confidence is low",)  # because of the conflict


def test_a_claim_without_a_citation_fails() -> None:
    assert "every claim has a citation" in failed(changed(lambda _: {"quotes": ()}))


def test_a_citation_of_what_is_not_stored_fails() -> None:
    assert "citations resolve" in failed(report(), Evidence({SECOND.hash: SECOND}, ()))


def test_a_passage_whose_bytes_were_changed_fails() -> None:
    forged = FIRST.model_copy(update={"text": TEXT.replace("84", "85")})
    assert "stored bytes have their hash" in failed(report(), Evidence({**EVIDENCE.passages, FIRST.hash: forged}, ()))


@pytest.mark.parametrize(
    "text",
    ["The dam is 84 metres tall.", "The dam is 84 metres high", "The dam is 84 metres high. It leaks."],
)
def test_a_claim_that_is_no_quote_fails(text: str) -> None:
    assert "quotes are literal" in failed(changed(lambda _: {"text": text}))


def test_a_quote_beyond_the_passage_fails() -> None:
    beyond = (Quote(passage=FIRST.hash, start=10, end=9_999),)
    assert "quotes are literal" in failed(changed(lambda _: {"quotes": beyond}))
    written = changed(lambda _: {"quotes": beyond}).model_copy(update={"engine": "model"})
    assert "quotes are literal" in failed(written)


@pytest.mark.parametrize("text", ["The dam is 85 metres high.", "Lina Marchetti built it in 1931.", "Built in 1932."])
def test_figures_names_and_dates_that_the_source_lacks_fail(text: str) -> None:
    model = changed(lambda _: {"text": text}).model_copy(update={"engine": "model"})
    assert "numbers and names are in the source" in failed(model)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("The queue holds 5 MB.", "5 MB"),
        ("It was seen on May 1.", "May 1"),
        ("The audit of Ann is done.", "Ann"),
        ("It costs 5.", "5"),
    ],
)
def test_a_part_of_a_longer_figure_date_or_name_is_none_of_its_own(text: str, lacks: str) -> None:
    longer = passage("The queue holds 15 MB, costs 7.5, and was seen on May 15. Annual audits are done.")
    claim = Claim(number=1, text=text, sub=0, quotes=(Quote(passage=longer.hash, start=0, end=20),))
    assert missing_facts(claim, Evidence({longer.hash: longer})) == [lacks]


@pytest.mark.parametrize(
    "detail", ["84 metres against 92 metres", "8 against 91 metres", "91 metres against 84 metres"]
)
def test_a_conflict_that_its_sources_do_not_have_fails(detail: str) -> None:
    other = CONFLICT.model_copy(update={"detail": detail})
    made = report().model_copy(update={"conflicts": (other,)})
    assert "conflicts say what their sources say" in failed(made)


@pytest.mark.parametrize("said", ["it is unsafe", "84 metres against 91 metres; and it leaks"])
def test_the_sentence_about_conflicts_names_only_those_that_are_told(said: str) -> None:
    made = report()
    assert made.answer.startswith("The sources disagree (84 metres against 91 metres).")
    other = made.answer.replace("84 metres against 91 metres", said)
    assert failed(made.model_copy(update={"answer": other})) == ["the answer repeats claims"]


def test_an_answer_that_says_more_than_its_claims_fails() -> None:
    more = report().model_copy(update={"answer": report().answer + " It is safe."})
    assert failed(more) == ["the answer repeats claims"]


def test_a_conflict_that_was_found_and_is_not_told_fails() -> None:
    assert "conflicts are told" in failed(report().model_copy(update={"conflicts": ()}))


def test_an_abstaining_report_is_a_draft_and_hides_nothing() -> None:
    analysis = Analysis(sub=SUB, answered=False, claims=(), conflicts=(), missing=("dam",))
    searched = Searched(sub=SUB, passages=(), corpora=("docs",), documents=2)
    empty = synthesise("How high is the dam?", "extractive", [searched], [analysis], Cost())
    verdict = judge(empty, Evidence({}, ()))
    assert (verdict.verdict, verdict.reasons) == ("draft", ("the question is not answered",))
    assert not empty.answered and "dam" in empty.not_found[0]
    assert "the answer repeats claims" in failed(empty.model_copy(update={"answered": True}), Evidence({}, ()))
    told = empty.model_copy(update={"answer": "The dam is 90 metres high."})
    assert failed(told, Evidence({}, ())) == ["the answer repeats claims"]


def test_a_report_from_public_pages_alone_is_a_draft() -> None:
    public = {key: one.model_copy(update={"trust": Trust.PUBLIC}) for key, one in EVIDENCE.passages.items()}
    assert "all of its sources are public pages" in judge(report(), Evidence(public, (CONFLICT,))).reasons


def test_the_hash_is_that_of_what_the_report_says() -> None:
    assert report().sha256 == report().sha256
    assert report().sha256 != report().model_copy(update={"answer": "no"}).sha256
    assert report().sha256 == report().model_copy(update={"cost": Cost(seconds=9)}).sha256
