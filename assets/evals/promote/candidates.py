"""Newly registered chat models, prompts and embedding models that might replace a default.

Each is compared with the present default in three steps, each a Dagster run of its own, so that every step shows up as
its asset. The next step follows from the Dagster runs that exist; no other progress is stored.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.settings import Settings

REPAIR, LOCALISATION = "repair", "localisation"
STEPS = ("baseline", "candidate", "comparison")
MAX_OPEN = 20
GIVEN_UP_AFTER = timedelta(days=7)

Kind = Literal["chat model", "embedding model", "prompts"]


@dataclass(frozen=True)
class Candidate:
    """Something registered. `digest` distinguishes versions with the same name; `baseline` and `candidate` are subjects
    as `open_subject` reads them."""

    kind: Kind
    name: str
    digest: str
    set_name: str
    baseline: str
    candidate: str

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits from kind, name and digest, for tags and names of runs."""
        return hashlib.sha256("\0".join((self.kind, self.name, self.digest)).encode()).hexdigest()[:12]

    def run(self, step: str) -> str:
        """The name of the eval run of a step."""
        return f"new-{self.key}-{step}"


def default_subject(settings: Settings) -> str:
    """The subject that solves repair cases as new tasks are solved."""
    if settings.engine in ("model", "hybrid") and settings.chat_model:
        return model_subject(settings.chat_model, engine=settings.engine)
    return "search"


def model_subject(chat_model: str, prompts: str | None = None, *, engine: str = "model") -> str:
    """The subject that is the engine `model` or `hybrid` with a chat model and, if given, other prompts than those
    set."""
    return f"{engine}:model={chat_model}" + (f",prompts={prompts}" if prompts else "")


def chat_candidates(settings: Settings, models: Mapping[str, str]) -> list[Candidate]:
    """Each chat model (name to digest) against the present default."""
    baseline = default_subject(settings)
    return [
        Candidate("chat model", name, digest, REPAIR, baseline, model_subject(name)) for name, digest in models.items()
    ]


def prompt_candidates(settings: Settings, versions: Iterable[str]) -> list[Candidate]:
    """Each version of the prompts against the one in use. Empty without a chat model, since only it uses prompts."""
    if (model := settings.chat_model) is None:
        return []
    baseline = model_subject(model)
    return [
        Candidate(
            "prompts",
            one,
            one,
            REPAIR,
            baseline,
            baseline if one == settings.chat_prompts else model_subject(model, one),
        )
        for one in versions
    ]


def embedding_candidates(models: Mapping[str, str], serving: str | None) -> list[Candidate]:
    """Each embedding model (name to identity) against the one that serves queries; empty if `serving` is None."""
    if serving is None:
        return []
    return [
        Candidate("embedding model", name, identity, LOCALISATION, _retrieval(serving), _retrieval(name))
        for name, identity in models.items()
    ]


def _retrieval(model: str) -> str:
    return f"retrieval:model={model}"


class Watched(BaseModel):
    """A sensor's state between ticks: keys of the candidates seen, and the comparisons that are not finished."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seen: tuple[str, ...] = ()
    open: tuple[dict[str, Any], ...] = ()
    first: bool = True

    def candidates(self) -> list[tuple[Candidate, datetime]]:
        """The unfinished candidates, each with the time it was found, oldest first."""
        return [
            (Candidate(**{k: v for k, v in one.items() if k != "found"}), datetime.fromisoformat(one["found"]))
            for one in self.open
        ]

    def look(self, registered: Iterable[Candidate], now: datetime) -> "Watched":
        """The state after adding candidates that are new since the last call. The first call only records what exists.
        Candidates beyond `MAX_OPEN` wait for a later call, those open for `GIVEN_UP_AFTER` are dropped, and the default
        itself is never opened."""
        registered = list(registered)
        fresh = [one for one in registered if one.key not in self.seen]
        kept = [one for one in self.open if now - datetime.fromisoformat(one["found"]) < GIVEN_UP_AFTER]
        if self.first:
            return Watched(seen=tuple(one.key for one in registered), first=False)
        taken = fresh[: max(0, MAX_OPEN - len(kept))]
        opened = ({**asdict(one), "found": now.isoformat()} for one in taken if one.candidate != one.baseline)
        present = [key for key in self.seen if key in {one.key for one in registered}]
        return Watched(seen=(*present, *(one.key for one in taken)), open=(*kept, *opened), first=False)

    def without(self, candidate: Candidate) -> "Watched":
        """The state after a candidate's comparison is finished or has failed."""
        others = zip(self.open, self.candidates(), strict=True)
        return self.model_copy(update={"open": tuple(one for one, (known, _) in others if known != candidate)})


class Progress(BaseModel):
    """The progress of a candidate's three steps: for each that was started, whether it succeeded, or None while it
    runs."""

    ended: dict[str, bool | None] = Field(default_factory=dict)

    @property
    def next_step(self) -> str | None:
        """The step to start now; None while one runs, when all are done, or after one failed."""
        for step in STEPS:
            if step not in self.ended:
                return step
            if self.ended[step] is not True:
                return None
        return None

    @property
    def failed(self) -> str | None:
        return next((step for step in STEPS if self.ended.get(step) is False), None)

    @property
    def done(self) -> bool:
        return all(self.ended.get(step) is True for step in STEPS)
