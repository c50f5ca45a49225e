"""A report as one HTML page that loads nothing: citations open at the passage, in which the quote is marked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assets.research.engines.synthesis import quote_text
from assets.research.records import Passage, Report, ReportVerdict
from assets.shared.pages import templates

_TONES = {"pass": "better", "draft": "open", "fail": "worse"}


def page(report: Report, verdict: ReportVerdict, passages: Mapping[str, Passage]) -> str:
    """The page. Passages that were deleted since are named as such."""
    template = templates(Path(__file__).parent / "templates").get_template("report.html")
    cites = {c.number: list(dict.fromkeys(report.citation(q.passage) for q in c.quotes)) for c in report.claims}
    cost = report.cost
    return template.render(
        report=report,
        verdict=verdict,
        tone=_TONES[verdict.verdict],
        answer_cites=list(dict.fromkeys(n for number in report.answer_claims for n in cites.get(number, ()))),
        groups=_groups(report, cites),
        conflicts=[
            {
                "kind": one.kind,
                "detail": one.detail,
                "sides": [
                    {
                        "text": quote_text(q, passages) or "(deleted)",
                        "number": report.citation(q.passage),
                        "date": passages[q.passage].date if q.passage in passages else "",
                    }
                    for q in (one.first, one.second)
                ],
            }
            for one in report.conflicts
        ],
        sources=[_source(report, number, key, passages.get(key)) for number, key in enumerate(report.sources, 1)],
        cost=f"{report.engine}: {cost.passages} passages read in {cost.searches} searches, {cost.seconds:.1f} s.",
    )


def _groups(report: Report, cites: Mapping[int, list[int]]) -> list[dict[str, Any]]:
    found = []
    for sub in report.subs:
        claims = [
            {"text": c.text, "cites": cites[c.number], "marked": c.marked} for c in report.claims if c.sub == sub.number
        ]
        if claims:
            title = (sub.side or sub.text) if len(report.subs) > 1 else "Findings"
            found.append({"title": title, "claims": claims})
    return found


def _source(report: Report, number: int, key: str, passage: Passage | None) -> dict[str, Any]:
    if passage is None:
        return {
            "number": number,
            "title": "(deleted)",
            "where": "",
            "date": "",
            "trust": "",
            "licence": "",
            "parts": [],
            "hash": key,
        }
    spans = sorted((q.start, q.end) for c in report.claims for q in c.quotes if q.passage == key)
    spans += sorted((q.start, q.end) for c in report.conflicts for q in (c.first, c.second) if q.passage == key)
    parts: list[dict[str, Any]] = []
    at = 0
    for start, end in sorted(spans):
        if start < at:
            continue
        parts += [{"text": passage.text[at:start], "quoted": False}, {"text": passage.text[start:end], "quoted": True}]
        at = end
    parts.append({"text": passage.text[at:], "quoted": False})
    return {
        "number": number,
        "title": " › ".join(filter(None, (passage.title, passage.heading if passage.heading != passage.title else ""))),
        "where": ", ".join(filter(None, (passage.address, passage.place))),
        "date": passage.date,
        "trust": passage.trust,
        "licence": passage.licence,
        "parts": parts,
        "hash": key,
    }
