"""Makes a candidate the default if it was found better or not worse than the present default, and rolls that back.

Only settings in which the two tested subjects differ are changed, and only if the platform still has the baseline's
settings. So of two concurrent promotions, the second is refused: its baseline is no longer the default.
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
"""Lists what changed in a run's subject since the run: the model behind a name, the text of a prompt."""


class PromotionRefused(ValueError):
    """The default stays unchanged; the message says why and what to do."""


@dataclass(frozen=True)
class Promoted:
    """The defaults after a promotion or rollback. `change` is that promotion or rollback; `fresh` is false if it had
    been made before, so that nothing changed. `remarks` say what else the user must know or do."""

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
    """Makes the settings that `candidate` was tested with the default; repeating it changes nothing.

    `home` holds the defaults, and must be that of the settings. `by` names the user. Raises `PromotionRefused` unless
    the verdict is `better` or `not worse`, the results are complete, the tested subject is unchanged (`still_there`
    returns nothing) and the baseline is still the default; `DefaultsError` for unreadable defaults.
    """
    had, wanted = settings_of(baseline.identity), settings_of(candidate.identity)
    after = {name: value for name, value in wanted.items() if had.get(name) != value}
    if not wanted:
        raise PromotionRefused(f"{candidate.subject} represents no settings of the platform, so it cannot be a default")
    if not after:
        raise PromotionRefused(f"{baseline.run} and {candidate.run} have the same settings: nothing to promote")
    found = _judged(store, baseline, candidate)
    if gone := still_there(candidate):
        raise PromotionRefused(
            f"the subject has changed since it was tested: {'; '.join(gone)}; run {candidate.subject} again"
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
        raise PromotionRefused("somebody rolled the promotion back at the same time: see `penstock eval defaults`")
    return Promoted(defaults, change, fresh, tuple(_remarks(change, wanted)))


def _judged(store: ResultStore, baseline: RunRecord, candidate: RunRecord) -> Comparison:
    for record in (baseline, candidate):
        if problems := check_results(store, record).problems:
            raise PromotionRefused(f"incomplete or damaged results cannot be promoted: {'; '.join(problems)}")
    try:
        found = compare_runs(store, baseline, candidate)
    except NotComparable as error:
        raise PromotionRefused(str(error)) from error
    if found.verdict not in SAFE:
        raise PromotionRefused(f"the default stays unchanged. {found.sentence}")
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
        # A user's setting overrides a promoted one, so both must be what was tested.
        for present in (normal(getattr(settings, name)), normal(defaults.values.get(name, value))):
            if present != value:
                raise PromotionRefused(
                    f"{baseline.run} is not the present default: it was tested with {name} {value}, but the platform "
                    f"uses {present}; run the present default over the set and compare with that run"
                )


def _remarks(change: Change, tested: dict[str, str]) -> list[str]:
    settings = load_settings()
    remarks = []
    for name in change.after:
        if (origin := given_explicitly(name)) is not None:
            remarks.append(f"{name} is set by {origin}, which overrides the promoted value: remove it there")
    for name, value in tested.items():
        present = normal(getattr(settings, name))
        if name not in change.after and present != value:
            what = "with the limit" if name in BUDGETS else "with"
            remarks.append(f"it was tested {what} {name} {value}; the platform uses {present}")
    if model := change.after.get("embedding_model"):
        remarks.append(
            f"an existing index keeps its model until it is migrated, behind its own gate: "
            f"penstock migrate start --to {model}"
        )
    return remarks


def roll_back(
    home: Path, *, by: str, version: int | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Promoted:
    """Rolls back the promotion in force; with `version`, only if that is its version, and then repeating it changes
    nothing. Raises `PromotionRefused` if there is no such promotion."""
    fresh = False

    def decide(present: Defaults) -> Change | None:
        nonlocal fresh
        standing = present.in_force
        if version is not None and any(change.undoes == version for change in present.history):
            return None
        if standing is None:
            raise PromotionRefused("nothing is promoted: the defaults are the built-in ones")
        if version is not None and standing.version != version:
            known = next((change for change in present.history if change.version == version), None)
            why = "is in force, on top of it" if known and known.kind == "promotion" else "is the one in force"
            raise PromotionRefused(f"version {version} cannot be rolled back: version {standing.version} {why}")
        fresh = True
        return Change(
            version=present.version + 1,
            kind="rollback",
            at=now(),
            by=by,
            before=standing.after,
            after=standing.before,
            reason=f"rolls back version {standing.version}",
            baseline=standing.candidate,
            candidate=standing.baseline,
            undoes=standing.version,
        )

    defaults = change_defaults(home, decide)
    undone = [c for c in defaults.history if c.kind == "rollback" and (version is None or c.undoes == version)]
    change = undone[-1]
    remarks = [
        f"{name} is set by {origin}, which overrides the default"
        for name in {**change.before, **change.after}
        if (origin := given_explicitly(name)) is not None
    ]
    return Promoted(defaults, change, fresh, tuple(remarks))
