"""What a search has found out about a problem, as text for a model: what came close, and what was refuted."""

from collections import Counter
from collections.abc import Mapping

from assets.executions.engines.protocol import Candidate, Observation
from assets.executions.engines.search.source import SourceFile

MOST_CLOSE, MOST_PLACES = 8, 8
_LONG = 160


class Learnt:
    """Filled with observations; `text` can be called at any time. Bounded, however many there are."""

    def __init__(self, sources: Mapping[str, SourceFile]) -> None:
        self._sources = sources
        self._tried: Counter[str] = Counter()
        self._close: list[tuple[int, int, str]] = []
        self._number = 0

    def add(self, observations: list[Observation]) -> None:
        for observation in observations:
            self._number += 1
            candidate = observation.candidate
            if observation.status not in ("rejected", "draft", "known"):
                self._tried[self._place(candidate)] += 1
            came = _closeness(observation)
            if came > 0:
                text = f"{self._shown(candidate)}: {_outcome(observation)}"
                self._close.append((-came, self._number, text))
        self._close = sorted(self._close)[:MOST_CLOSE]

    @property
    def text(self) -> str:
        total = sum(self._tried.values())
        if not total and not self._close:
            return "Nothing was tried yet."
        lines = [f"{total} small edits were tried. By place, with none of them a patch:"]
        lines += [f"- {place}: {count}" for place, count in self._tried.most_common(MOST_PLACES)]
        if self._close:
            lines += ["These came closest:", *(f"- {text}" for _, _, text in self._close)]
        return "\n".join(lines)

    def _place(self, candidate: Candidate) -> str:
        source = self._sources.get(candidate.path)
        symbol = source.symbol_at(candidate.line) if source is not None else ""
        return f"{candidate.path} {symbol}".strip()

    def _shown(self, candidate: Candidate) -> str:
        where = f"{candidate.path}:{candidate.line}"
        changes = [
            f"{_short(self._sources[edit.path].text[edit.start : edit.end])} -> {_short(edit.text)}"
            for edit in candidate.edits[:2]
        ]
        return f"{where} {'; '.join(changes) or 'whole files'}"


def _closeness(observation: Observation) -> int:
    if observation.status in ("regress", "rejected", "draft", "known"):
        return 1000
    if observation.candidate.deliberate and observation.status != "pass":
        return 500
    return len(observation.passed) if observation.status == "fail" else 0


def _outcome(observation: Observation) -> str:
    if observation.status == "regress":
        return f"the failing tests pass, but {_short(observation.broken)} does not any more"
    if observation.status in ("rejected", "known"):
        return f"the failing tests pass, but it was rejected: {_short(observation.broken)}"
    if observation.status == "draft":
        return f"the failing tests pass, and it is good for a draft only: {_short(observation.broken)}"
    if observation.status == "fail" and observation.passed:
        return f"{len(observation.passed)} of the failing tests pass"
    return f"{observation.status}: {_short(observation.message or observation.signature)}"


def _short(text: str) -> str:
    """A text as one line in quotes."""
    text = " ".join(text.split())
    return repr(text if len(text) <= _LONG else f"{text[: _LONG - 1]}…")
