"""The engines `model` and `hybrid` as subjects: one chat model with its prompts and budgets, on repair sets.

Each attempt sends its own seed, so that repeats of a case differ if the server uses it.
"""

import hashlib
import json
import re
from dataclasses import replace

from assets.evals.runs.subject import Attempt, SubjectCannotStart
from assets.executions.engines.hybrid.advice import PROMPTS
from assets.executions.engines.hybrid.engine import AS_SEARCH
from assets.executions.engines.model.options import chat_of, options_of
from assets.executions.engines.model.prompts import UnknownPrompts, load_prompts
from assets.executions.engines.model.tools import TOOLS_DIGEST
from assets.executions.engines.open_engine import EngineChoice
from core.chat import ChatUnavailable, UnknownChatModel
from core.settings import load_settings
from core.work import Execution
from dagster_project.subjects.repair import RepairSubject


class ModelSubject(RepairSubject):
    """`model` is a described chat model or `ollama/NAME`. `steps` and `prompts` default to the settings."""

    def __init__(
        self,
        model: str,
        *,
        seconds: float = 60.0,
        steps: int | None = None,
        prompts: str | None = None,
        engine: str = "model",
    ) -> None:
        super().__init__(engine=engine, seconds=seconds)
        self.model, self._settings = model, load_settings()
        options = options_of(self._settings)
        self.options = replace(options, steps=steps or options.steps, prompts=prompts or options.prompts)
        parts = [
            f"{engine}-{model}",
            f"{seconds:g}s",
            *([str(steps)] if steps else []),
            *([prompts] if prompts else []),
        ]
        self.name = re.sub(r"[^a-z0-9._]+", "-", "-".join(parts).lower())[:80]

    def identity(self) -> dict[str, str]:
        """Raises `SubjectCannotStart`."""
        options = self.options
        try:
            hashes = load_prompts(options.prompts).hashes
            model = chat_of(self._settings, self.model).identity
        except (ChatUnavailable, UnknownChatModel, UnknownPrompts) as error:
            raise SubjectCannotStart(str(error)) from error
        return {
            **super().identity(),
            "model": model,
            "model_digest": model.rpartition("@")[2],
            "prompt_hash": hashlib.sha256(json.dumps([hashes, TOOLS_DIGEST], sort_keys=True).encode()).hexdigest(),
            "tools": TOOLS_DIGEST,
            "budget_model": f"{options.steps} steps, {options.tokens} tokens, {options.money:g} money",
            **{f"prompt:{name}": digest for name, digest in hashes.items()},
        }

    def start(self) -> None:
        super().start()
        self.identity()

    def engine_choice(self, attempt: Attempt) -> EngineChoice:
        return EngineChoice(self.engine, chat_model=self.model, seed=attempt.seed, options=self.options)


class HybridSubject(ModelSubject):
    """`model` is described or `ollama/NAME`; by default the one of the settings. Without any, the engine is the search
    alone, and so is its identity."""

    def __init__(
        self,
        model: str | None = None,
        *,
        seconds: float = 60.0,
        steps: int | None = None,
        prompts: str | None = None,
        samples: int | None = None,
    ) -> None:
        chosen = model or load_settings().chat_model
        super().__init__(chosen or "none", seconds=seconds, steps=steps, prompts=prompts, engine="hybrid")
        self.alone = chosen is None
        if samples is not None:
            self.options = replace(self.options, samples=samples)

    def identity(self) -> dict[str, str]:
        """Raises `SubjectCannotStart`."""
        if self.alone:
            return RepairSubject.identity(self)
        hashes = {f"prompt:{name}": digest for name, digest in PROMPTS.hashes.items()}
        return {**super().identity(), **hashes, "samples": str(self.options.samples)}

    def engine_choice(self, attempt: Attempt) -> EngineChoice:
        return EngineChoice(self.engine) if self.alone else super().engine_choice(attempt)

    def lost(self, execution: Execution) -> str | None:
        if self.alone:
            return None
        return next((note for note in execution.evidence.notes if note.endswith(AS_SEARCH)), None)
