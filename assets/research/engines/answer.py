"""Answers a question in this process: decompose, search, analyse, synthesise, judge. The durable flow calls the same
functions, one message each."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from assets.research.corpora.protocol import Corpus
from assets.research.engines.extractive.analyse import analyse
from assets.research.engines.extractive.decompose import LONGEST, decompose
from assets.research.engines.searching import search
from assets.research.engines.synthesis import synthesise
from assets.research.gate import judge
from assets.research.records import Analysis, Cost, Evidence, Passage, Report, ReportVerdict, Searched
from core.chat.protocol import ChatModel, Left
from core.embedding import Embedder

LARGEST_QUESTION = 64 << 10


class NoQuestion(ValueError):
    """The text asks nothing, or is too long."""


@dataclass(frozen=True)
class Answered:
    report: Report
    verdict: ReportVerdict
    passages: dict[str, Passage]
    """Every passage that was read, by hash."""


def checked_question(text: str) -> str:
    """The question without control characters. Raises `NoQuestion`."""
    text = "".join(char for char in text if char >= " " or char in "\n\t").strip()
    if not any(char.isalnum() for char in text):
        raise NoQuestion('the question is empty: ask something, as in "How long are events kept?"')
    if len(text.encode("utf-8", "replace")) > LARGEST_QUESTION:
        raise NoQuestion(f"the question is larger than {LARGEST_QUESTION >> 10} KiB: shorten it")
    return text


@dataclass(frozen=True)
class Writer:
    """A chat model that writes, with what one question may cost."""

    chat: ChatModel
    tokens: int = 100_000
    money: float = 5.0
    seconds: float = 120.0
    """For one answer."""


def analysed(one: Searched, embedder: Embedder | None, writer: Writer | None, parts: int = 1) -> Analysis:
    """What the passages of a sub-question say, as quotes or, with a writer, in its words. `parts` share its budget."""
    read = analyse(one, one.rarity, embedder)
    if writer is None:
        return read
    from assets.research.engines.model.write import write

    left = Left(writer.tokens // max(1, parts), writer.money / max(1, parts))
    return write(writer.chat, one, read, seconds=writer.seconds, left=left)


def answer(
    question: str,
    corpora: Sequence[Corpus],
    embedder: Embedder | None,
    *,
    seconds: float = 300.0,
    writer: Writer | None = None,
) -> Answered:
    """Raises `NoQuestion`. A sub-question for which no time is left counts as not answered, and the report says so."""
    began = time.monotonic()
    text = checked_question(question)
    subs = decompose(text)
    searched: list[Searched] = []
    notes = question_notes(text)
    for sub in subs:
        if time.monotonic() - began > seconds:
            searched.append(
                Searched(sub=sub, passages=(), problems=(f"“{sub.text}” was not searched: no time was left",))
            )
            continue
        searched.append(search(corpora, sub))
    analyses = [analysed(one, embedder, writer, len(subs)) for one in searched]
    cost = Cost(
        seconds=round(time.monotonic() - began, 3),
        searches=len(subs) * len(corpora),
        passages=len({p.hash for s in searched for p in s.passages}),
    )
    return conclude(text, "model" if writer else "extractive", searched, analyses, cost, notes)


def question_notes(text: str) -> list[str]:
    if len(text) > LONGEST:
        return [f"The question has {len(text)} characters; its first {LONGEST} were looked at."]
    return []


def conclude(
    question: str,
    engine: str,
    searched: Sequence[Searched],
    analyses: Sequence[Analysis],
    cost: Cost,
    notes: Sequence[str] = (),
) -> Answered:
    """Report and verdict from what was searched and read."""
    report = synthesise(question, engine, searched, analyses, cost, notes)
    passages = {p.hash: p for s in searched for p in s.passages}
    evidence = Evidence(passages, tuple(c for a in analyses for c in a.conflicts))
    return Answered(report, judge(report, evidence), passages)
