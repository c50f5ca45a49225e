"""The records that the stages of a task pass to each other: context, plan, execution and verdict.

Frozen models without behaviour, each stored as JSON under its task and attempt. Stages depend on each other only
through these.
"""

import hashlib
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskText(Record):
    """The text of a task, as its author wrote it."""

    title: str
    body: str = ""

    @property
    def text(self) -> str:
        return f"{self.title}\n\n{self.body}".strip()


class Reason(Record):
    """One signal's contribution to a location's score."""

    signal: str
    detail: str
    contribution: float


class Location(Record):
    """A span of a file that a task may be about. Lines are 1-based and inclusive."""

    path: str
    start_line: int = Field(ge=1)
    end_line: int = Field(ge=1)
    symbol: str
    score: float
    why: tuple[Reason, ...] = ()


class TaskContext(Record):
    """Ranked locations with reasons; `commit` is the full id of the indexed commit."""

    source: str
    commit: str
    index_version: str
    models: tuple[str, ...]
    locations: tuple[Location, ...]
    seconds: float = 0.0


class StepKind(StrEnum):
    REPRODUCE = "reproduce"
    LOCALISE = "localise"
    EDIT = "edit"
    VERIFY = "verify"
    PUBLISH = "publish"


class StepState(StrEnum):
    PLANNED = "planned"
    DONE = "done"
    DROPPED = "dropped"


class PlanStep(Record):
    """`outcome` says what came of a step that is done, or why it was dropped."""

    kind: StepKind
    goal: str
    detail: str = ""
    paths: tuple[str, ...] = ()
    state: StepState = StepState.PLANNED
    outcome: str = ""


class HypothesisState(StrEnum):
    OPEN = "open"
    SUPPORTED = "supported"
    """An edit there makes the failing tests pass."""
    UNLIKELY = "unlikely"
    """Edits there were tried without any progress."""
    REFUTED = "refuted"
    """The failing tests do not execute it."""


class Hypothesis(Record):
    """Where the fault may be: `claim` as text, the place (lines are 1-based and inclusive, 0 where no place is known),
    and the reasons for it. `because` says why it is in its state."""

    claim: str
    path: str = ""
    start_line: int = Field(default=0, ge=0)
    end_line: int = Field(default=0, ge=0)
    symbol: str = ""
    why: tuple[str, ...] = ()
    state: HypothesisState = HypothesisState.OPEN
    because: str = ""


class Budget(Record):
    """Limits of one attempt: seconds of wall time and candidate patches; for an engine with a model also its answers
    (`actions`), tokens of prompts and answers, and money in the currency of its prices."""

    seconds: float = Field(default=120.0, gt=0)
    candidates: int = Field(default=20_000, gt=0)
    actions: int | None = None
    tokens: int | None = None
    money: float | None = None


class Cause(Record):
    """The observation that made a revision of a plan necessary; `seq` is its number in the trajectory."""

    kind: Literal[
        "reproduced",
        "not-reproduced",
        "derived-test",
        "located",
        "no-progress",
        "supported",
        "rejected",
        "other-tests",
        "remark",
        "ended",
    ]
    seq: int = Field(ge=0)
    observed: str


class Plan(Record):
    """A revision of a task's plan, its hypotheses ranked. Revision 1 comes from the planner; each later one says why it
    was made, by which observation, and what it changed."""

    revision: int = Field(default=1, ge=1)
    reason: str = "first plan"
    cause: Cause | None = None
    changes: tuple[str, ...] = ()
    goal: str
    hypotheses: tuple[Hypothesis, ...]
    steps: tuple[PlanStep, ...]
    budget: Budget = Budget()
    acceptance: tuple[str, ...]


class Outcome(StrEnum):
    """The result of one test."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    """It was stopped before its end, or never started."""


class TestRun(Record):
    """One run of a test command in the sandbox. `outcomes` maps test ids to results; `failures` holds the short
    message of each test that failed or erred; `stopped` maps each test that was stopped before its end to the seconds
    it had run; `took` holds the seconds of some tests that ran to their end."""

    __test__ = False

    command: tuple[str, ...]
    outcomes: dict[str, Outcome]
    failures: dict[str, str] = Field(default_factory=dict)
    stopped: dict[str, float] = Field(default_factory=dict)
    took: dict[str, float] = Field(default_factory=dict)
    seconds: float
    exit_code: int | None
    limit: str | None = None
    """The limit that ended the run (`wall`, `cpu`, `memory`, `processes`, `file-size`, `output`), if one did."""
    output_tail: str = ""
    complete: bool = True
    """Whether every test of the suite ran to its end."""

    def failing(self) -> frozenset[str]:
        return frozenset(t for t, o in self.outcomes.items() if o in (Outcome.FAILED, Outcome.ERROR))


class Patch(Record):
    """A unified diff (`git apply` format, `a/` and `b/` prefixes) against one commit."""

    base_commit: str
    diff: str

    @property
    def sha256(self) -> str:
        """The hash of base commit and diff, to which a verdict is bound."""
        return hashlib.sha256(f"{self.base_commit}\n{self.diff}".encode()).hexdigest()


class CandidateCounts(Record):
    """`tried` counts every candidate once; the other fields count those that reached that step."""

    generated: int = 0
    tried: int = 0
    passed_failing_tests: int = 0
    passed_whole_suite: int = 0


class EnvironmentFailure(Record):
    """Something that tests need and that is missing where they are run. `missing` completes "This needs …"; `remedy`
    is a sentence that says how to provide it; `tests` are those that fail for it."""

    kind: str
    missing: str
    remedy: str
    tests: tuple[str, ...]


class Packages(Record):
    """The environment that a repository's tests ran in: Python's version, `versions` as `name==version`, and `source`,
    the files that declare them. `before` is the time (RFC 3339) until which files had to be published to count, empty
    for the newest; `key` names the environment in the cache, and `seconds` is what it cost this task. For another
    language than Python, `language` names it with the version of its tools, and `python` is empty."""

    python: str = ""
    language: str = ""
    source: str
    before: str = ""
    versions: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    key: str = ""
    cached: bool = False
    seconds: float = 0.0


class Relation(Record):
    """How far the target tests represent the task. Those that are not `related` are never targets; a `score` below
    `threshold` justifies a draft at most. `shared` says what task and tests have in common, the strongest first."""

    related: bool
    score: float
    threshold: float
    shared: tuple[str, ...] = ()


class Doubt(Record):
    """A measurement that speaks against a patch whose target tests pass.

    It justifies a draft at most, or no publication at all when `severity` is `fail`; a `note` counts only together with
    a doubt of another origin. `origin`: from the patch's text, from running the program, or from a rival that no test
    tells apart, which says nothing about which of the two is right.
    """

    kind: str
    detail: str
    severity: Literal["note", "draft", "fail"] = "draft"
    origin: Literal["text", "run", "rival"] = "text"


class Support(Record):
    """A measurement, beyond the tests, that speaks for a patch."""

    kind: str
    detail: str


class Evidence(Record):
    """What the gate judges, all of it measured in the sandbox.

    `before` and `after` are runs of the whole suite in fresh processes: `before` on the clean base
    commit, `after` on a clean checkout with the patch applied. `target_tests` are the failing tests
    that represent the task. `reproduction` says where they come from.
    """

    sandbox: str
    reproduction: Literal["tests", "issue", "none"] = "none"
    target_tests: tuple[str, ...] = ()
    before: TestRun | None = None
    after: TestRun | None = None
    derived: dict[str, str] = Field(default_factory=dict)
    """Test files that were derived from the task's text and added to the patch: the SHA-256 of their text by path."""
    derived_suffices: bool = False
    """Whether a rule of the repository lets a derived test prove a patch."""
    applies: bool | None = None
    changed_paths: tuple[str, ...] = ()
    allowed_paths: tuple[str, ...] = ()
    candidates: CandidateCounts = CandidateCounts()
    flaky: tuple[str, ...] = ()
    """Tests that gave different results on the same code, and are excluded from every comparison."""
    reached: tuple[str, ...] = ()
    """Tests that are unknown before or after the patch and are known to execute code that it changes."""
    relation: Relation | None = None
    environment: tuple[EnvironmentFailure, ...] = ()
    packages: Packages | None = None
    """None when the tests ran with Penstock's own packages."""
    services: tuple[str, ...] = ()
    """What ran beside the tests, such as a database, by name and version."""
    doubts: tuple[Doubt, ...] = ()
    supports: tuple[Support, ...] = ()
    suspicious: tuple[Location, ...] = ()
    operator: str | None = None
    """The edit operator that made the patch."""
    notes: tuple[str, ...] = ()
    timings: dict[str, float] = Field(default_factory=dict)
    """Seconds by step."""


class ModelUse(Record):
    """What a chat model did in one attempt and what it cost. `model` is its identity, `prompts` maps each prompt to
    the SHA-256 of its text, `actions` each tool to its number of calls; `ended` says why it stopped."""

    model: str
    prompts: dict[str, str]
    steps: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: int = 0
    money: float = 0.0
    seconds: float = 0.0
    estimated: bool = False
    """Whether token counts are estimates, because the server reports none or a try failed."""
    actions: dict[str, int] = Field(default_factory=dict)
    ended: str = ""


class Execution(Record):
    """The result of an attempt's execution: a candidate patch, or None, with the evidence."""

    engine: str
    patch: Patch | None
    evidence: Evidence
    summary: str
    """A few sentences for the task's author: what was tried, and with what result."""
    question: str = ""
    """What to ask a person when nothing reproduces the task; empty when there is nothing to ask. The summary has it."""
    seconds: float
    iterations: int = 0
    """Answers of a model, or candidates tried by an engine without one."""
    changed_lines: int = 0
    """Lines that the patch adds or removes."""
    model: ModelUse | None = None
    """None for an engine without a model."""
    chosen: str = ""
    """Why this engine was chosen, as a sentence; empty where the task or the settings name it."""


class GateCheck(Record):
    name: str
    passed: bool
    detail: str


class VerdictKind(StrEnum):
    PASS = "pass"  # noqa: S105
    DRAFT = "draft"
    FAIL = "fail"


class Verdict(Record):
    """The gate's decision, bound to one patch by its hash (None when there is no patch). `reasons` say why it is only
    a draft; `proof` is a paragraph that says what was proven and how, empty for `fail`."""

    verdict: VerdictKind
    patch_sha256: str | None
    checks: tuple[GateCheck, ...]
    reasons: tuple[str, ...] = ()
    proof: str = ""
