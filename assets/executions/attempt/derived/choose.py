"""Which claims become tests: those of which the base shows, in each run, the wrong result for the stated reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from assets.executions.attempt.derived.claims import MOST_TESTS, Claim, Kind, Stated
from assets.executions.attempt.derived.probe import Seen

_UNRELATED = frozenset({"ImportError", "NameError", "SyntaxError"})
"""Exceptions that show that an example lacks something, unless the issue states them."""


@dataclass(frozen=True)
class Kept:
    """A claim that becomes a test, with what the base gives. `fails` is false for one that holds on the base and is
    from the same example as one that does not."""

    claim: Claim
    seen: Seen
    fails: bool = True


@dataclass
class Choice:
    """`notes` say what was seen of claims that are not used; `missing` what to add to the issue."""

    kept: list[Kept] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def choose(claims: Sequence[Claim], looks: Sequence[Sequence[Seen | None]]) -> Choice:
    """The claims to use, by what the runs gave of each. Pure."""
    choice = Choice()
    holding: list[Kept] = []
    repeating: list[tuple[Claim, Seen]] = []
    for claim, runs in zip(claims, looks, strict=True):
        seen = runs[0] if runs else None
        if seen is None or any(other is None for other in runs):
            choice.notes.append(f"`{claim.name}` was not used: it did not end in time, or could not be run.")
        elif any(other != seen for other in runs):
            choice.notes.append(f"`{claim.name}` was not used: it gave different results in {len(runs)} runs.")
        elif claim.actual is None and claim.shown is not None and seen.shown and claim.expected is None:
            repeating.append((claim, seen))
        else:
            _judge(claim, seen, choice, holding)
    failing = {kept.claim.group for kept in choice.kept}
    for claim, seen in repeating:
        # What an example shows is right where another part of it fails, else it is what the issue is about.
        if claim.group in failing:
            holding.append(Kept(replace(claim, expected=claim.shown, shown=None), seen, fails=False))
        elif seen.types and (seen.inside or not seen.reached):
            choice.kept.append(Kept(replace(claim, actual=claim.shown, shown=None), seen))
        else:
            choice.missing.append(f"`{claim.name}` gives {_given(seen)}, as the issue shows: what should it give?")
    choice.kept += [kept for kept in holding if kept.claim.group in failing and kept.claim.actual is None]
    choice.kept = sorted(choice.kept, key=lambda kept: not kept.fails)[:MOST_TESTS]
    return choice


def _judge(claim: Claim, seen: Seen, choice: Choice, holding: list[Kept]) -> None:
    """Adds the claim to what is kept, what holds, or what is told."""
    expected, right = claim.expected, seen.expected
    if expected is None and claim.shown is not None:
        expected, right = claim.shown, seen.shown
        claim = replace(claim, expected=expected, shown=None)
    if claim.actual is not None and not seen.actual:
        if expected is not None and right:
            choice.missing.append(_as_it_should(claim, seen))
        else:
            choice.notes.append(
                f"`{claim.name}` was not used: the issue says {_says(claim.actual)}, and the unchanged commit gives "
                f"{_given(seen)}."
            )
        return
    if expected is None:
        if claim.actual is not None and claim.actual.kind is Kind.RAISES:
            choice.kept.append(Kept(claim, seen))
        else:
            choice.missing.append(f"`{claim.name}` gives {_given(seen)}, as the issue says: what should it give?")
        return
    if right:
        holding.append(Kept(claim, seen, fails=False))
        choice.missing.append(_as_it_should(claim, seen))
    elif claim.actual is None and seen.types and not _stands_for_the_bug(claim, seen):
        choice.notes.append(
            f"`{claim.name}` was not used: the unchanged commit gives {_given(seen)}, which the issue does not say."
        )
    else:
        choice.kept.append(Kept(claim, seen))


def _stands_for_the_bug(claim: Claim, seen: Seen) -> bool:
    """Whether an exception that the issue does not state is the program's: raised inside it by the call itself, or
    because the call gave None where the example goes on with a value; not because something is missing."""
    from_none = "'NoneType' object" in seen.message
    return seen.reached and (seen.inside or from_none) and not _UNRELATED & set(seen.types)


def _as_it_should(claim: Claim, seen: Seen) -> str:
    return f"`{claim.name}` gives {_given(seen)} here, as it should: with which input does it not?"


def _given(seen: Seen) -> str:
    return f"`{' '.join(seen.result.split())}`" if seen.result.strip() else "nothing"


def _says(stated: Stated) -> str:
    return f"`{' '.join(stated.text.split())[:120]}`"
