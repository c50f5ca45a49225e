"""Formats a comparison as Markdown, JSON and JUnit XML, and collects every form of a report, including `page`'s HTML.

All text from cases, trajectories and subjects is hostile and escaped. The verdict comes from `compare`.
"""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel

from assets.evals.compare import wording as words
from assets.evals.compare.comparison import Comparison
from assets.evals.runs.store import ResultStore
from assets.shared.markdown import cell, code
from core.statistics import Effect, Verdict

from .page import flip_pages, to_html


def to_json(found: Comparison) -> dict[str, Any]:
    """The comparison and its sentence as JSON values (`json_values`)."""
    return {"sentence": found.sentence, **json_values(found)}


def json_values(value: Any) -> Any:
    """Dataclasses, pydantic models and enums as JSON values; numbers that are not finite become None."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: json_values(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): json_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_markdown(found: Comparison) -> str:
    """A summary in Markdown, short enough for the Dagster UI or a merge request."""
    lines = [f"**{cell(found.sentence)}**", ""]
    lines += [f"- {cell(remark)}" for remark in found.remarks]
    if found.verdict is Verdict.INCONCLUSIVE and found.needed:
        lines.append(
            f"- with about {found.needed} cases like these, an equally good candidate would be found not worse"
        )
    if lines[-1]:
        lines.append("")
    lines += ["| metric | baseline | candidate | change | 95% interval | p (Holm) | verdict |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for effect in found.effects:
        interval = effect.interval
        span = f"{words.estimate(effect, interval.low)} to {words.estimate(effect, interval.high)}" if interval else ""
        cells = [
            effect.metric.name + (" (info)" if effect.metric.role == "info" else ""),
            words.level(effect, effect.baseline),
            words.level(effect, effect.candidate),
            words.estimate(effect, effect.estimate) if effect.estimate is not None else "",
            span,
            words.p_value(effect.p_adjusted),
            _verdict(effect),
        ]
        lines.append("| " + " | ".join(map(cell, cells)) + " |")
    for name, flips in (("lost", found.lost), ("gained", found.gained)):
        if flips:
            named = ", ".join(f"{code(flip.case)}" for flip in flips[:20]) + (" …" if len(flips) > 20 else "")
            lines += ["", f"{len(flips)} cases {name}: {named}"]
    if found.changes:
        lines += ["", "| changed | baseline | candidate |", "|---|---|---|"]
        lines += ["| " + " | ".join(map(cell, change)) + " |" for change in found.changes]
    return "\n".join(lines) + "\n"


def _verdict(effect: Effect) -> str:
    if effect.metric.role == "info":
        return effect.reason if effect.interval is None else "for information"
    return f"{effect.verdict}: {effect.reason}"


def to_junit(found: Comparison) -> str:
    """JUnit XML for a CI, with one test case for the whole and one per metric that affects the verdict. `worse` is a
    failure, `inconclusive` an error."""
    deciding = [effect for effect in found.effects if effect.metric.role != "info"]
    tests = [("verdict", found.verdict, found.sentence)]
    tests += [(effect.metric.name, effect.verdict, f"{words.change(effect)}: {effect.reason}") for effect in deciding]
    worse = sum(verdict is Verdict.WORSE for _, verdict, _ in tests)
    unsure = sum(verdict is Verdict.INCONCLUSIVE for _, verdict, _ in tests)
    record = found.candidate.record
    suite = ET.Element(
        "testsuite", name=f"penstock eval {record.set_name}", tests=str(len(tests)), failures=str(worse),
        errors=str(unsure), skipped="0", timestamp=record.started.strftime("%Y-%m-%dT%H:%M:%S"),
    )  # fmt: skip
    for name, verdict, said in tests:
        case = ET.SubElement(suite, "testcase", classname=f"{record.set_name}.{_xml(record.subject)}", name=name)
        if verdict is Verdict.WORSE:
            ET.SubElement(case, "failure", type="worse", message=_xml(said))
        elif verdict is Verdict.INCONCLUSIVE:
            ET.SubElement(case, "error", type="inconclusive", message=_xml(said))
        else:
            ET.SubElement(case, "system-out").text = _xml(f"{verdict}: {said}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """The text without the control characters that XML 1.0 does not allow."""
    return "".join(one for one in text if one >= " " or one in "\t\n")


def parts_of(found: Comparison, store: ResultStore) -> dict[str, str]:
    """Every file of a report by its relative path; the pages of flipped cases are in `flips/`."""
    pages = flip_pages(found, store)
    return {
        "report.html": to_html(found, store, pages),
        **pages,
        "report.md": to_markdown(found),
        "report.json": json.dumps(to_json(found), indent=2, ensure_ascii=False) + "\n",
        "junit.xml": to_junit(found),
    }
