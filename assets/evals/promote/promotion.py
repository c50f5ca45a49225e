"""Makes a candidate the default when it was found better or not worse than the present one, and takes that back.

Only what the two tested subjects differ in is changed, and only if the platform still runs as the baseline
did: whoever comes second finds another default than the one that was compared with, and is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from assets.evals.compare.comparison import Comparison, NotComparable, compare_runs
from assets.evals.report.kept_reports import write_report
from assets.evals.runs.result_checks import check_results
from assets.evals.runs.results import RunRecord
from assets.evals.runs.store import ResultStore
from assets.evals.runs.subject_settings import BUDGETS, normal, settings_of
from core.defaults import Change, Defaults, change_defaults
from core.settings import given_explicitly, load_settings
from core.statistics import Verdict

SAFE = (Verdict.BETTER, Verdict.NOT_WORSE)

StillThere = Callable[[RunRecord], list[str]]
"""What of a run's subject is not here any more as it was tested: a model behind a name, the text of a prompt."""


class PromotionRefused(ValueError):
    """The default stays; the message says why, and what would have to be done."""


@dataclass(frozen=True)
class Promoted:
    """The defaults after a promotion or rollback. `change` is the one that counts; `fresh` is false when it was made
    before and nothing was left to do. `remarks` tell what else a person must know or do."""

    defaults: Defaults
    change: Change
    fresh: bool
    remarks: tuple[str, ...]


def promote(
    home: Path,
    store: ResultStore,
    baseline: RunRecord,
    candidate: RunRecord,
    *,
    by: str,
    still_there: StillThere = lambda record: [],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Promoted:
    """Makes what `candidate` tested the default. Raises `PromotionRefused`, `NotComparable`.

    Repeating it changes nothing. `home` holds the defaults and must be that of the settings.
    """
    had, wanted = settings_of(baseline.identity), settings_of(candidate.identity)
    after = {name: value for name, value in wanted.items() if had.get(name) != value}
    if not wanted:
        raise PromotionRefused(f"{candidate.subject} is no part of the platform: it stands for no default")
    if not after:
        raise PromotionRefused(f"{baseline.run} and {candidate.run} stand for the same default: nothing to promote")
    found = _judged(store, baseline, candidate)
    if gone := still_there(candidate):
        raise PromotionRefused(
            f"what was tested is not what is here now: {'; '.join(gone)}; run {candidate.subject} again"
        )
    fresh = False

    def decide(present: Defaults) -> Change | None:
        nonlocal fresh
        if _same(present.in_force, baseline, candidate, after):
            return None
        _refuse_other_baseline(baseline, {name: had[name] for name in after if name in had}, present)
        fresh = True
        return Change(
            version=present.version + 1,
            kind="promotion",
            at=now(),
            by=by,
            before={name: present.values[name] for name in after if name in present.values},
            after=after,
            verdict=found.verdict.value,
            reason=found.sentence,
            baseline=baseline.run,
            candidate=candidate.run,
            report=str(write_report(store, found) / "report.html"),
        )

    defaults = change_defaults(home, decide)
    change = defaults.in_force
    if change is None:
        raise PromotionRefused("the promotion was taken back at this moment by somebody else: `penstock eval defaults`")
    return Promoted(defaults, change, fresh, tuple(_remarks(change, wanted)))


def _judged(store: ResultStore, baseline: RunRecord, candidate: RunRecord) -> Comparison:
    for record in (baseline, candidate):
        if problems := check_results(store, record).problems:
            raise PromotionRefused(f"results that are not whole decide nothing: {'; '.join(problems)}")
    try:
        found = compare_runs(store, baseline, candidate)
    except NotComparable as error:
        raise PromotionRefused(str(error)) from error
    if found.verdict not in SAFE:
        raise PromotionRefused(f"the default stays. {found.sentence}")
    return found


def _same(change: Change | None, baseline: RunRecord, candidate: RunRecord, after: dict[str, str]) -> bool:
    return change is not None and (change.baseline, change.candidate, change.after) == (
        baseline.run,
        candidate.run,
        after,
    )


def _refuse_other_baseline(baseline: RunRecord, had: dict[str, str], defaults: Defaults) -> None:
    settings = load_settings()
    for name, value in had.items():
        # What a person has set wins over what is promoted, and hides it: both must be what was tested.
        for present in (normal(getattr(settings, name)), normal(defaults.values.get(name, value))):
            if present != value:
                raise PromotionRefused(
                    f"{baseline.run} is not the present default: it was tested with {name} {value}, and the platform "
                    f"uses {present}; run the present default over the set and compare with that"
                )


def _remarks(change: Change, tested: dict[str, str]) -> list[str]:
    settings = load_settings()
    remarks = []
    for name in change.after:
        if (origin := given_explicitly(name)) is not None:
            remarks.append(f"{name} is set by {origin}, which wins over what is promoted: remove it there")
    for name, value in tested.items():
        present = normal(getattr(settings, name))
        if name not in change.after and present != value:
            what = "a bound of" if name in BUDGETS else "with"
            remarks.append(f"it was tested {what} {name} {value}; the platform uses {present}")
    if model := change.after.get("embedding_model"):
        way = f"penstock migrate start --to {model}"
        remarks.append(f"an index that is there keeps its model until it is migrated, behind a gate of its own: {way}")
    return remarks


def roll_back(
    home: Path, *, by: str, version: int | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Promoted:
    """Takes the promotion in force back; with `version`, only if it is that one. Repeating it with a version changes
    nothing. Raises `PromotionRefused` when there is nothing to take back."""
    fresh = False

    def decide(present: Defaults) -> Change | None:
        nonlocal fresh
        standing = present.in_force
        if version is not None and any(change.undoes == version for change in present.history):
            return None
        if standing is None:
            raise PromotionRefused("nothing is promoted: the defaults are the program's own")
        if version is not None and standing.version != version:
            known = next((change for change in present.history if change.version == version), None)
            why = "is in force, on top of it" if known and known.kind == "promotion" else "is the one in force"
            raise PromotionRefused(f"version {version} cannot be taken back: version {standing.version} {why}")
        fresh = True
        return Change(
            version=present.version + 1,
            kind="rollback",
            at=now(),
            by=by,
            before=standing.after,
            after=standing.before,
            reason=f"takes back version {standing.version}",
            baseline=standing.candidate,
            candidate=standing.baseline,
            undoes=standing.version,
        )

    defaults = change_defaults(home, decide)
    undone = [c for c in defaults.history if c.kind == "rollback" and (version is None or c.undoes == version)]
    change = undone[-1]
    remarks = [
        f"{name} is set by {origin}, which wins"
        for name in {**change.before, **change.after}
        if (origin := given_explicitly(name)) is not None
    ]
    return Promoted(defaults, change, fresh, tuple(remarks))
