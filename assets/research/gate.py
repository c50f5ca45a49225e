"""The gate of reports: a pure function of the report and of stored evidence. It decides what may be sent.

Every claim has a citation, each citation resolves to stored bytes with its hash, quotes are literal, numbers and names
of a claim occur in its passages, no cited source is another team's, and conflicts that were found are told.
"""

import re
from collections.abc import Sequence

from assets.research.records import DISAGREE, UNANSWERED, Claim, Conflict, Evidence, Report, ReportVerdict, Trust
from assets.research.text.quantities import dates, names, quantities
from core.work import GateCheck, VerdictKind

_JOINED = re.compile(r"\s+")


def judge(report: Report, evidence: Evidence) -> ReportVerdict:
    """The verdict about a report. `evidence` holds what the report's team may read, and nothing else."""
    checks = (
        _check("every claim has a citation", [f"claim {c.number}" for c in report.claims if not c.quotes]),
        _check("citations resolve", _unresolved(report, evidence)),
        _check(
            "stored bytes have their hash",
            [h for h in report.sources if h in evidence.passages and not _valid(h, evidence)],
        ),
        _check("quotes are literal", _not_literal(report, evidence)),
        _check("numbers and names are in the source", _unsupported(report, evidence)),
        _check("the answer repeats claims", _answer(report)),
        _check("conflicts say what their sources say", _misquoted(report, evidence)),
        _check("conflicts are told", _untold(report, evidence)),
    )
    if not all(check.passed for check in checks):
        return ReportVerdict(verdict=VerdictKind.FAIL, report_sha256=report.sha256, checks=checks)
    reasons = _reasons(report, evidence)
    verdict = VerdictKind.DRAFT if reasons else VerdictKind.PASS
    return ReportVerdict(verdict=verdict, report_sha256=report.sha256, checks=checks, reasons=reasons)


def _check(name: str, wrong: Sequence[str]) -> GateCheck:
    shown = "; ".join(dict.fromkeys(wrong))[:500]
    return GateCheck(name=name, passed=not wrong, detail=shown or "yes")


def _valid(passage: str, evidence: Evidence) -> bool:
    stored = evidence.passages[passage]
    return stored.hash == passage and stored.valid


def _quoted(report: Report) -> list[tuple[str, str]]:
    """(what quotes, passage) of all quotes."""
    found = [(f"claim {c.number}", q.passage) for c in report.claims for q in c.quotes]
    return found + [("a conflict", q.passage) for c in report.conflicts for q in (c.first, c.second)]


def _unresolved(report: Report, evidence: Evidence) -> list[str]:
    wrong = [f"{who}: {h[:12]} is not stored" for who, h in _quoted(report) if h not in evidence.passages]
    return wrong + [
        f"{who}: {h[:12]} is not in the list of sources" for who, h in _quoted(report) if h not in report.sources
    ]


def _not_literal(report: Report, evidence: Evidence) -> list[str]:
    wrong = []
    quotes = [(f"claim {c.number}", q) for c in report.claims for q in c.quotes]
    quotes += [("a conflict", q) for c in report.conflicts for q in (c.first, c.second)]
    for who, quote in quotes:
        passage = evidence.passages.get(quote.passage)
        if passage is not None and not 0 <= quote.start < quote.end <= len(passage.text):
            wrong.append(f"{who}: its quote is not a part of the passage")
    if report.engine == "extractive":
        for claim in report.claims:
            if (first := claim.quotes[:1]) and (passage := evidence.passages.get(first[0].passage)) is not None:
                literal = _flat(passage.text[first[0].start : first[0].end])
                if claim.text != literal:
                    wrong.append(f"claim {claim.number} is not what its passage says")
                if claim.theme not in passage.heading:
                    wrong.append(f"claim {claim.number} stands under another heading than it says")
    return wrong


def _flat(text: str) -> str:
    return _JOINED.sub(" ", text).strip()


def _unsupported(report: Report, evidence: Evidence) -> list[str]:
    return [f"claim {c.number}: {', '.join(lacks)}" for c in report.claims if (lacks := missing_facts(c, evidence))]


def missing_facts(claim: Claim, evidence: Evidence) -> list[str]:
    """Figures, dates and names of a claim that none of its passages has."""
    passages = [evidence.passages[q.passage] for q in claim.quotes if q.passage in evidence.passages]
    if not passages:
        return []
    texts = [f"{p.title}. {p.heading}. {p.text}" for p in passages]
    flat = _flat(" ".join(texts)).lower()
    values = {round(q.value, 6) for text in texts for q in quantities(text)}
    times = [d for text in texts for d in dates(text)]
    lacks = [q.shown for q in quantities(claim.text) if round(q.value, 6) not in values and not _stands(q.shown, flat)]
    lacks += [
        claim.text[d.start : d.end]
        for d in dates(claim.text)
        if not any((d.year, d.month, d.day) == (t.year, t.month, t.day) for t in times)
        and not _stands(claim.text[d.start : d.end], flat)
    ]
    lacks += [name for name in names(claim.text) if not all(_stands(part, flat) for part in name.split())]
    return lacks


def _stands(text: str, flat: str) -> bool:
    """Whether a text stands there as whole words and figures: `5 MB` does not stand in `15 MB`."""
    return bool(re.search(rf"(?<!\w)(?<!\d[.,]){re.escape(text.lower())}(?!\w|[.,]\d)", flat))


def _answer(report: Report) -> list[str]:
    """The answer of a report with claims consists of claims, the sides' names and one sentence about conflicts."""
    if report.answered != bool(report.claims):
        return ["it says that the question is answered, and has no claim" if report.answered else "it hides its claims"]
    if not report.claims:
        return [] if report.answer == UNANSWERED else ["it says something without a claim"]
    numbers = {c.number for c in report.claims}
    wrong = [f"claim {n} does not exist" for n in report.answer_claims if n not in numbers]
    rest = _after_disagreement(report)
    for claim in report.claims:
        if claim.number in report.answer_claims:
            if claim.shown not in report.answer:
                wrong.append(f"claim {claim.number} is not repeated word for word")
            rest = rest.replace(claim.shown, " ", 1)
    if not report.answer_claims:
        wrong.append("it cites no claim")
    for side in {sub.side for sub in report.subs if sub.side}:
        rest = rest.replace(f"{side}: ", " ")
    if _flat(rest):
        wrong.append(f"it says more than its claims: {_flat(rest)[:80]}")
    return wrong


def _after_disagreement(report: Report) -> str:
    """The answer without the sentence about conflicts, as far as it names those that are told."""
    rest = report.answer.removeprefix(f"{DISAGREE} (")
    if rest == report.answer:
        return rest
    details = sorted({c.detail for c in report.conflicts}, key=len, reverse=True)
    while (said := next((d for d in details if rest.startswith(d)), None)) is not None:
        rest = rest[len(said) :].removeprefix("; ")
    return rest.removeprefix(").")


def _misquoted(report: Report, evidence: Evidence) -> list[str]:
    return [f"{c.kind}: {c.detail}" for c in report.conflicts if not _says_its_sides(c, evidence)]


def _says_its_sides(conflict: Conflict, evidence: Evidence) -> bool:
    """Whether "a against b" names what its two quotes have."""
    first, against, second = conflict.detail.partition(" against ")
    if not against:
        return True
    sides = ((first, conflict.first), (second, conflict.second))
    return all(
        (p := evidence.passages.get(q.passage)) is None
        or _stands(_flat(said.strip("“”")), _flat(p.text[q.start : q.end]).lower())
        for said, q in sides
    )


def _untold(report: Report, evidence: Evidence) -> list[str]:
    told = {c.key for c in report.conflicts}
    return [f"{c.kind}: {c.detail}" for c in evidence.conflicts if c.key not in told]


def _reasons(report: Report, evidence: Evidence) -> tuple[str, ...]:
    reasons = []
    if not report.answered:
        reasons.append("the question is not answered")
    elif report.unanswered:
        reasons.append(f"{len(report.unanswered)} of {len(report.subs)} parts of the question are not answered")
    if any(claim.marked for claim in report.claims):
        reasons.append("sentences of a model are not fully supported by what they cite")
    cited = {evidence.passages[q.passage].trust for c in report.claims for q in c.quotes}
    if cited == {Trust.PUBLIC}:
        reasons.append("all of its sources are public pages")
    if report.answered and report.confidence == "low":
        reasons.append("confidence is low")
    return tuple(reasons)
