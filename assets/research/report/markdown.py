"""A report as Markdown, for comments, mail and terminals. All text of sources is hostile and escaped."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from assets.research.engines.synthesis import quote_text
from assets.research.records import Claim, Kind, Passage, Report, ReportVerdict
from assets.shared.markdown import cell

_SHORT = 320


def markdown(report: Report, verdict: ReportVerdict, passages: Mapping[str, Passage]) -> str:
    """The whole report: the answer first, then findings, conflicts, what was not found, sources, and what it cost."""
    parts = [f"# {_line(report.question)[:200]}", f"**{_text(report.answer)}**{_cites(report)}"]
    if verdict.verdict != "pass":
        why = "; ".join(verdict.reasons) or "; ".join(c.name for c in verdict.checks if not c.passed)
        parts.append(f"This report is a {verdict.verdict}: {_line(why)}.")
    parts.append(f"Confidence: {report.confidence} ({'; '.join(report.reasons)}).")
    if report.claims:
        parts += ["## Findings", *_findings(report)]
    if report.conflicts:
        parts += ["## Conflicts", "\n".join(_conflict(report, n, passages) for n in range(len(report.conflicts)))]
    if report.not_found:
        parts += ["## Looked for and not found", "\n".join(f"- {_line(one)}" for one in report.not_found)]
    if report.sources:
        parts += ["## Sources", sources_table(report, passages)]
    if report.notes:
        parts += ["## Notes", "\n".join(f"- {_line(one)}" for one in report.notes)]
    parts.append(cost_line(report))
    return "\n\n".join(parts) + "\n"


def _cites(report: Report) -> str:
    cited = [c for c in report.claims if c.number in report.answer_claims]
    return "" if not cited else " " + " ".join(citations(report, claim) for claim in cited)


def citations(report: Report, claim: Claim) -> str:
    """`[1]`, or `[1][4]` for a claim that several sources state."""
    return "".join(f"[{n}]" for n in dict.fromkeys(report.citation(q.passage) for q in claim.quotes))


def _findings(report: Report) -> list[str]:
    several = len(report.subs) > 1
    parts = []
    for sub in report.subs:
        claims = [c for c in report.claims if c.sub == sub.number]
        if not claims:
            continue
        if several:
            parts.append(f"### {_line(sub.side or sub.text)}")
        mark = "1." if sub.kind is Kind.CHANGE else "-"
        parts.append("\n".join(f"{mark} {_finding(report, claim)}" for claim in claims))
    return parts


def _finding(report: Report, claim: Claim) -> str:
    doubt = f" *(not fully supported: {_line(claim.marked)})*" if claim.marked else ""
    theme = f"{_line(claim.theme)}: " if claim.theme else ""
    return f"{theme}{_text(claim.text)} {citations(report, claim)}{doubt}"


def _conflict(report: Report, number: int, passages: Mapping[str, Passage]) -> str:
    one = report.conflicts[number]
    first, second = (
        f"“{_text(' '.join(quote_text(q, passages).split())[:_SHORT])}” "
        f"[{report.citation(q.passage)}]{_dated(passages.get(q.passage))}"
        for q in (one.first, one.second)
    )
    return f"- {one.kind} ({_line(one.detail)}): {first}, but {second}."


def _dated(passage: Passage | None) -> str:
    return f" ({passage.date})" if passage is not None and passage.date else ""


def sources_table(report: Report, passages: Mapping[str, Passage]) -> str:
    """One row for each citation: where it is, its date, trust and licence, and the hash of the passage."""
    rows = ["| | source | date | trust | licence | passage |", "|---|---|---|---|---|---|"]
    for number, key in enumerate(report.sources, 1):
        p = passages.get(key)
        if p is None:
            rows.append(f"| {number} | (deleted) | | | | `{key[:12]}` |")
            continue
        where = ", ".join(filter(None, (p.address, p.place)))
        rows.append(
            f"| {number} | {cell(p.title)}: {cell(where)} | {cell(p.date)} | {p.trust} | {cell(p.licence)} | "
            f"`{key[:12]}` |"
        )
    return "\n".join(rows)


def cost_line(report: Report) -> str:
    cost = report.cost
    used = f"; {cost.calls} calls of a model, {cost.tokens} tokens, cost {cost.money:.4f}" if cost.calls else ""
    return (
        f"*{report.engine}: {cost.passages} passages read in {cost.searches} searches, {cost.seconds:.1f} s{used}. "
        f"Report {report.sha256[:12]}.*"
    )


def is_web(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https")


def _line(text: str) -> str:
    return cell(text)


def _text(text: str) -> str:
    """Text of a source in a paragraph: nothing in it is Markdown, a link, an image or a mention."""
    flat = " ".join(text.split())
    flat = re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", flat)
    return re.sub(r"@(?=\w)", "@\u200b", flat)
