"""Revisions of the plan while it is carried out. Each one says what it changes and which observation made it necessary.

The plan begins with places that the task's text suggests. What is seen afterwards decides: which tests fail, what they
execute, and what comes of edits there.
"""

import textwrap
from collections.abc import Callable, Sequence

from assets.executions.attempt.findings import plain
from assets.executions.engines.protocol import Candidate, Observation
from assets.executions.repository.test_command import number_of_tests
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.targets import TargetSet
from core.counts import counted
from core.work import Cause, Hypothesis, HypothesisState, Location, Outcome, Plan, PlanStep, StepKind, StepState

MOST_REVISIONS = 24
MOST_HYPOTHESES = 8
MOST_REJECTIONS = 3
"""Rejected patches that are worth a revision each; after them, more of the same is no news."""
ENOUGH_TRIED = 60
"""Edits at one place without progress after which the fault is more likely elsewhere; one that was made with care, as a
model's, is enough."""
SLOW_SHARE = 0.2
"""A suite that takes this share of the budget is too slow to be run for each candidate."""
_TEXT = 300


class Planning:
    """The current plan of an attempt; `save` stores each revision, `symbol_at` names the function at a line of a
    file, `is_program` says of a file whether a patch may change it."""

    def __init__(
        self,
        plan: Plan,
        save: Callable[[Plan], None],
        *,
        symbol_at: Callable[[str, int], str] = lambda path, line: "",
        is_program: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self.plan = plan
        self._save = save
        self._symbol_at, self._is_program = symbol_at, is_program
        self._rejected = 0
        self._tried: dict[str, int] = {}
        self._deliberate: set[str] = set()
        self._progressed: set[str] = set()

    # -- what was observed ---------------------------------------------------------------------------------

    def reproduced(self, seq: int, baseline: Baseline, sets: Sequence[TargetSet], derived: Sequence[str]) -> None:
        """The tests that stand for the task are known."""
        tests = sets[0].tests
        observed = f"{number_of_tests(tests)} of {len(baseline.run.outcomes)} fail for the task: {sets[0].why}"
        changes = [f"The target is to make {number_of_tests(tests)} pass, first of all {tests[0]}."]
        if len(sets) > 1:
            others = f"{counted(len(sets) - 1, 'other set')} of failing tests"
            changes.append(f"If that fails, {others} {'is' if len(sets) == 2 else 'are'} tried.")
        if derived:
            changes.append(f"The patch will add the test {', '.join(derived)}, so a person has to look at it.")
        changes += self._limits(baseline)
        self._revise("derived-test" if derived else "reproduced", seq, observed, changes,
                     self._steps({StepKind.REPRODUCE: (StepState.DONE, observed)}))  # fmt: skip

    def not_reproduced(self, seq: int, summary: str, baseline: Baseline | None = None) -> None:
        """No test shows the problem, so nothing can be proven."""
        dropped = dict.fromkeys((StepKind.LOCALISE, StepKind.EDIT, StepKind.VERIFY), (StepState.DROPPED, ""))
        steps = self._steps({StepKind.REPRODUCE: (StepState.DONE, summary), **dropped})
        changes = ["No patch is looked for: nothing could show that it solves the problem."]
        changes += self._limits(baseline) if baseline is not None else []
        self._revise("not-reproduced", seq, summary, changes, steps)

    def located(self, seq: int, suspects: Sequence[Location], baseline: Baseline, targets: TargetSet) -> None:
        """The statements that the failing tests execute are known."""
        executed = {baseline.places[place] for test in targets.tests for place in baseline.hits.get(test, ())}
        kept: list[Hypothesis] = []
        refuted: list[Hypothesis] = []
        for one in self.plan.hypotheses:
            lines = {line for path, line in executed if path == one.path}
            if one.path and not self._is_program(one.path):
                because = "a patch may not change it"
                refuted.append(one.model_copy(update={"state": HypothesisState.REFUTED, "because": because}))
            elif executed and one.path and not any(one.start_line <= line <= one.end_line for line in lines):
                because = "no failing test executes it"
                refuted.append(one.model_copy(update={"state": HypothesisState.REFUTED, "because": because}))
            elif one.path:
                kept.append(one)
        found: list[Hypothesis] = []
        for place in _by_symbol(suspects):
            known = [one for one in (*kept, *found) if _holds(one, place.path, place.start_line)]
            if not known and len(found) < MOST_HYPOTHESES:
                found.append(_suspected(place))
        ranked = _by_suspicion([*kept, *found], suspects)[:MOST_HYPOTHESES]
        changes = []
        if refuted:
            changes.append(f"Ruled out, because {refuted[0].because}: {_names(refuted)}.")
        if new := [one for one in found if one in ranked]:
            changes.append(f"Added, because the failing tests execute it: {_names(new)}.")
        if ranked:
            changes.append(f"First place to look at: {_name(ranked[0])}.")
        observed = "; ".join(f"{place.path}:{place.start_line} ({place.score:.2f})" for place in suspects[:3])
        steps = self._steps({StepKind.LOCALISE: (StepState.DONE, observed)})
        if changes:
            self._revise("located", seq, f"most suspicious: {observed or 'nothing'}", changes, steps,
                         (*ranked, *refuted)[:2 * MOST_HYPOTHESES])  # fmt: skip

    def tried(self, seq: int, observations: Sequence[Observation]) -> None:
        """Edits were tried."""
        passing: dict[str, Candidate] = {}
        weaker: list[Hypothesis] = []
        new: list[Hypothesis] = []
        for one in observations:
            place = self._place_of(one.candidate)
            if place is None and one.status == "pass":
                place = next((h for h in new if _holds(h, one.candidate.path, one.candidate.line)), None)
                if place is None:
                    new.append(place := self._beyond(one.candidate))
            if place is None:
                continue
            self._tried[place.claim] = self._tried.get(place.claim, 0) + 1
            if one.candidate.deliberate:
                self._deliberate.add(place.claim)
            if one.status == "pass":
                passing.setdefault(place.claim, one.candidate)
            if one.passed or one.status in ("pass", "regress", "rejected"):
                self._progressed.add(place.claim)
        for hypothesis in self.plan.hypotheses:
            tried = self._tried.get(hypothesis.claim, 0)
            is_open = hypothesis.state is HypothesisState.OPEN
            enough = 1 if hypothesis.claim in self._deliberate else ENOUGH_TRIED
            if is_open and tried >= enough and hypothesis.claim not in self._progressed:
                weaker.append(hypothesis)
        if passing:
            self._supported(seq, passing, new)
        elif (
            weaker
            and not any(h.state is HypothesisState.SUPPORTED for h in self.plan.hypotheses)
            and any(h.state is HypothesisState.OPEN and h not in weaker for h in self.plan.hypotheses)
        ):
            self._weakened(seq, weaker)

    def remarked(self, seq: int, author: str, text: str, places: Sequence[Location]) -> None:
        """Somebody said something about the task. What a person names is looked at first, whatever was seen there."""
        named, rest = [], list(self.plan.hypotheses)
        for place in places:
            known = [one for one in rest if one.path == place.path and _meets(one, place)]
            rest = [one for one in rest if one not in known]
            named += known or [_pointed_at(place, author)]
        opened = [
            one.model_copy(update={"state": HypothesisState.OPEN, "because": ""})
            if one.state in (HypothesisState.UNLIKELY, HypothesisState.REFUTED)
            else one
            for one in named
        ]
        for one in opened:
            self._tried.pop(one.claim, None)
        changes = [f"Looked at first, because {author} names it: {_names(opened)}."] if opened else [
            "It names no place of the program; it is part of the task's text from now on."
        ]  # fmt: skip
        self._revise("remark", seq, f"{author} says: {text}", changes, None, (*opened, *rest)[: 2 * MOST_HYPOTHESES])

    def rejected(self, seq: int, candidate: Candidate, reasons: str) -> None:
        """The gate rejected a patch whose target tests pass."""
        self._rejected += 1
        if self._rejected > MOST_REJECTIONS:
            return
        place = self._place_of(candidate)
        where = f"{candidate.path}:{candidate.line}"
        change = f"Another edit than that of {where} is looked for" + (
            f", {_name(place)} stays likely." if place else "."
        )
        self._revise("rejected", seq, f"the gate rejects the edit of {where}: {reasons}", [change])

    def ended(self, seq: int, *, patch: bool) -> None:
        """The attempt is over: its steps are done, unless nothing was looked for."""
        if any(step.kind is StepKind.EDIT and step.state is StepState.DROPPED for step in self.plan.steps):
            return
        found = "a patch was found" if patch else "no patch was found"
        edited = verified = (StepState.DROPPED, found)
        if any(step.kind is StepKind.REPRODUCE and step.state is StepState.DONE for step in self.plan.steps):
            edited = (StepState.DONE, found)
            verified = (StepState.DONE, "the gate takes the patch") if patch else verified
        steps = self._steps({StepKind.EDIT: edited, StepKind.VERIFY: verified})
        self._revise(
            "ended", seq, found, [f"What is left is to publish {'the patch' if patch else 'a report'}."], steps
        )

    def other_tests(self, seq: int, targets: TargetSet, before: int) -> None:
        """The tests that were aimed at led to no patch."""
        observed = f"{counted(before, 'set')} of failing tests led to no patch so far"
        step = PlanStep(
            kind=StepKind.EDIT,
            goal="Make other failing tests pass",
            detail=_short(f"{targets.tests[0]}: {targets.why}"),
        )
        hypotheses = tuple(
            one.model_copy(update={"state": HypothesisState.OPEN, "because": ""})
            if one.state is HypothesisState.UNLIKELY
            else one
            for one in self.plan.hypotheses
        )
        self._tried.clear()
        self._deliberate.clear()
        self._progressed.clear()
        steps = (*(one for one in self.plan.steps if one.kind is not StepKind.EDIT or one.detail != step.detail), step)
        self._revise("other-tests", seq, observed, [f"The target is {targets.tests[0]}: {targets.why}"], steps,
                     hypotheses)  # fmt: skip

    # -- revisions -----------------------------------------------------------------------------------------

    def _beyond(self, candidate: Candidate) -> Hypothesis:
        """A place that nothing had suggested, and where an edit makes the failing tests pass."""
        path, line = candidate.path, candidate.line
        symbol = self._symbol_at(path, line)
        where = f"`{symbol}` ({path}:{line})" if symbol else f"{path}:{line}"
        return Hypothesis(
            claim=f"the fault is in {where}", path=path, start_line=line, end_line=line, symbol=symbol,
            why=("found by an edit",),
        )  # fmt: skip

    def _supported(self, seq: int, passing: dict[str, Candidate], new: Sequence[Hypothesis]) -> None:
        known = (*new, *self.plan.hypotheses)
        fresh = [h for h in known if h.claim in passing and h.state is not HypothesisState.SUPPORTED]
        if not fresh:
            return
        said = {
            h.claim: f"{plain(passing[h.claim].operator)} at line {passing[h.claim].line} makes the failing tests pass"
            for h in fresh
        }
        changed = _with_state(known, fresh, HypothesisState.SUPPORTED, said)
        first = [h for h in changed if h.state is HypothesisState.SUPPORTED]
        rest = [h for h in changed if h.state is not HypothesisState.SUPPORTED]
        where = fresh[0]
        self._revise("supported", seq, f"{_name(where)}: {said[where.claim]}",
                     [f"{_names(fresh)} comes first; what passes there is verified."], None,
                     (*first, *rest))  # fmt: skip

    def _weakened(self, seq: int, weaker: Sequence[Hypothesis]) -> None:
        said = {
            h.claim: f"{counted(self._tried[h.claim], 'edit')} tried there, none made a failing test pass"
            for h in weaker
        }
        changed = _with_state(self.plan.hypotheses, weaker, HypothesisState.UNLIKELY, said)
        likely = [h for h in changed if h.state in (HypothesisState.OPEN, HypothesisState.SUPPORTED)]
        rest = [h for h in changed if h not in likely]
        self._revise("no-progress", seq, f"{_name(weaker[0])}: {said[weaker[0].claim]}",
                     [f"{_names(weaker)} is unlikely now; next: {_name(likely[0])}."], None,
                     (*likely, *rest))  # fmt: skip

    def _revise(
        self,
        kind: str,
        seq: int,
        observed: str,
        changes: Sequence[str],
        steps: Sequence[PlanStep] | None = None,
        hypotheses: Sequence[Hypothesis] | None = None,
    ) -> None:
        if self.plan.revision >= MOST_REVISIONS:
            return
        observed = _short(observed).rstrip(". ")
        self.plan = self.plan.model_copy(
            update={
                "revision": self.plan.revision + 1,
                "reason": observed,
                "cause": Cause(kind=kind, seq=seq, observed=observed),
                "changes": tuple(_short(change) for change in changes),
                "steps": tuple(self.plan.steps if steps is None else steps),
                "hypotheses": tuple(self.plan.hypotheses if hypotheses is None else hypotheses),
            }
        )
        self._save(self.plan)

    def _limits(self, baseline: Baseline) -> list[str]:
        """What the baseline shows of the environment and the time that tests take."""
        changes = [
            f"Set apart: {number_of_tests(lacking.tests)}, since this needs {lacking.missing}."
            for lacking in baseline.environment[:3]
        ]
        run = baseline.run
        unknown = sum(outcome is Outcome.UNKNOWN for outcome in run.outcomes.values())
        if run.seconds > SLOW_SHARE * self.plan.budget.seconds or unknown:
            unfinished = f", {unknown} tests unfinished" if unknown else ""
            changes.append(
                f"The suite is slow ({run.seconds:.1f} s{unfinished}): an edit is tried on the failing tests and on "
                "quick ones around it; the whole suite only runs for what passes them."
            )
        return changes

    def _steps(self, states: dict[StepKind, tuple[StepState, str]]) -> tuple[PlanStep, ...]:
        return tuple(
            step.model_copy(update={"state": states[step.kind][0], "outcome": _short(states[step.kind][1])})
            if step.kind in states
            else step
            for step in self.plan.steps
        )

    def _place_of(self, candidate: Candidate) -> Hypothesis | None:
        """The narrowest hypothesis that an edit is about."""
        held = [h for h in self.plan.hypotheses if _holds(h, candidate.path, candidate.line)]
        return min(held, key=lambda h: h.end_line - h.start_line, default=None)


def _short(text: str) -> str:
    return textwrap.shorten(text, _TEXT, placeholder=" …")


def _with_state(
    all_of_them: Sequence[Hypothesis], chosen: Sequence[Hypothesis], state: HypothesisState, because: dict[str, str]
) -> list[Hypothesis]:
    claims = {one.claim for one in chosen}
    return [
        one.model_copy(update={"state": state, "because": because[one.claim]}) if one.claim in claims else one
        for one in all_of_them
    ]


def _holds(hypothesis: Hypothesis, path: str, line: int) -> bool:
    return hypothesis.path == path and hypothesis.start_line <= line <= hypothesis.end_line


def _meets(hypothesis: Hypothesis, place: Location) -> bool:
    return hypothesis.start_line <= place.end_line and place.start_line <= hypothesis.end_line


def _pointed_at(place: Location, author: str) -> Hypothesis:
    return _suspected(place).model_copy(update={"why": (f"{_short(author)} names it",)})


def _suspected(place: Location) -> Hypothesis:
    where = (
        f"`{place.symbol}` ({place.path}:{place.start_line})" if place.symbol else f"{place.path}:{place.start_line}"
    )
    why = (f"failing tests execute it, suspicion {place.score:.2f}",)
    return Hypothesis(claim=f"the fault is in {where}", path=place.path, start_line=place.start_line,
                      end_line=place.end_line, symbol=place.symbol, why=why)  # fmt: skip


def _by_symbol(suspects: Sequence[Location]) -> list[Location]:
    """One place for the statements of each function, in the order of its most suspicious one."""
    found: dict[tuple[str, str | int], Location] = {}
    for one in suspects:
        key = (one.path, one.symbol or one.start_line)
        known = found.get(key, one)
        first, last = min(known.start_line, one.start_line), max(known.end_line, one.end_line)
        found[key] = known.model_copy(update={"start_line": first, "end_line": last})
    return list(found.values())


def _by_suspicion(hypotheses: Sequence[Hypothesis], suspects: Sequence[Location]) -> list[Hypothesis]:
    """The most suspicious first; those without a suspicious statement keep their order behind them."""

    def rank(one: Hypothesis) -> int:
        inside = (n for n, place in enumerate(suspects) if _holds(one, place.path, place.start_line))
        return next(inside, len(suspects))

    return sorted(hypotheses, key=rank)


def _name(one: Hypothesis) -> str:
    return f"{one.symbol} ({one.path}:{one.start_line})" if one.symbol else f"{one.path}:{one.start_line}"


def _names(ones: Sequence[Hypothesis]) -> str:
    more = f" and {len(ones) - 3} more" if len(ones) > 3 else ""
    return ", ".join(_name(one) for one in ones[:3]) + more
