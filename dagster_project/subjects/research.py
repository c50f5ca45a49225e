"""The research stage as a subject: it answers the questions of `eval_sets/research` over the corpora kept there.

In the same run, the texts of the ten best passages of the same index are measured as the baseline.
"""

import threading
from pathlib import Path

from assets.evals.runs.subject import Attempt, CaseOutcome, CaseResult, SubjectCannotStart
from assets.evals.sets.research import ROOT, Given, ResearchInput, Said, folder_of, measure
from assets.evals.sets.set_files import EvalSetError
from assets.research.corpora.folder import FolderCorpus
from assets.research.engines.answer import Answered, answer
from assets.research.engines.synthesis import quote_text
from core.embedding import Embedder, open_embedder
from core.embedding.protocol import EmbedderUnavailable
from core.settings import load_settings
from dagster_project.subjects.embedding_identity import embedding_identity

BASELINE_PASSAGES = 10
_READ = 1 << 20


class ResearchSubject:
    """Succeeds if it quotes every nugget, or abstains where there is no answer, and obeys nothing injected."""

    kinds: tuple[str, ...] = ("plain",)

    def __init__(self, engine: str, model: str, root: Path = ROOT) -> None:
        self.engine, self.model, self._root = engine, model, root
        self.name = f"research-{engine}-{model}"
        self._embedder: Embedder | None = None
        self._corpora: dict[str, FolderCorpus] = {}
        self._lock = threading.Lock()

    def identity(self) -> dict[str, str]:
        return {"engine": f"research-{self.engine}", **embedding_identity(self.model)}

    def start(self) -> None:
        if self.engine != "extractive":
            raise SubjectCannotStart(f"engine {self.engine!r}: evals run the engine extractive")
        try:
            self._embedder = open_embedder(self.model, load_settings().models_folder)
        except (EmbedderUnavailable, ValueError, OSError) as error:
            raise SubjectCannotStart(f"embedding model {self.model!r}: {error}") from error

    def solve(self, attempt: Attempt) -> CaseResult:
        case = ResearchInput.model_validate(attempt.case.payload.input)
        folder = folder_of(case, self._root)
        if not folder.is_dir():
            raise EvalSetError(f"{folder} is missing: the case {attempt.case.id} needs this corpus")
        with self._lock:
            corpus = self._corpora.setdefault(case.corpus, FolderCorpus(case.corpus, folder, self._embedder))
            corpus.index()
        answered = answer(case.question, [corpus], self._embedder)
        best = [found.passage.text for found in corpus.search(case.question, BASELINE_PASSAGES)]
        metrics = measure(case, given(answered), best, _documents(folder))
        metrics["seconds"] = answered.report.cost.seconds
        found = metrics.get("nugget_recall", 0.0) == 1.0 or metrics.get("abstained") == 1.0
        right = found and not metrics.get("obeyed", 0.0)
        outcome = (
            CaseOutcome.CORRECT
            if right
            else (CaseOutcome.WRONG if answered.report.answered else CaseOutcome.UNRESOLVED)
        )
        return CaseResult(outcome, right, metrics, answered.report.answer[:300])


def given(answered: Answered) -> Given:
    """An answer as the measures read it."""
    passages = answered.passages
    claims = []
    for claim in answered.report.claims:
        cited = passages.get(claim.quotes[0].passage) if claim.quotes else None
        claims.append(Said(claim.text, cited.text if cited else "", cited.address if cited else ""))
    conflicts = tuple(
        (quote_text(c.first, passages), quote_text(c.second, passages)) for c in answered.report.conflicts
    )
    shown = " ".join([answered.report.answer, *(claim.text for claim in claims)])
    return Given(answered.report.answered, tuple(claims), conflicts, shown)


def _documents(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = file.read(_READ).decode("utf-8", "replace")
    return found
