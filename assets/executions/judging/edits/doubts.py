"""The doubts that a patch's own text raises, before anything of it is run.

Each measure is a function from the edited program to doubts; `docs/gate.md` lists what each one catches and what it
costs. Not for what tests or the sandbox measure.
"""

from collections.abc import Callable, Iterator, Mapping

from core.work import Doubt

from .changes import ProgramFile
from .comparisons import changed_comparisons
from .edited import EditedProgram, edited_program
from .effects import compensations, lost_effects, neutral_operations, replaced_errors
from .flow import empty_effects, removed_checks, swallowed_exceptions, unreachable_code
from .special_cases import (
    copied_results,
    hidden_text,
    inputs_of_the_test,
    invented_cases,
    manipulated_tests,
    metadata,
    special_cases,
    test_detection,
)
from .values import (
    added_indexes,
    constants_for_values,
    double_reversals,
    dropped_calls,
    foreign_names,
    indexed_slices,
    mapped_conversions,
    overwritten_inputs,
    replaced_constants,
    type_wraps,
    unused_inputs,
)

Measure = Callable[[EditedProgram], Iterator[Doubt]]
MEASURES: tuple[Measure, ...] = (
    type_wraps,
    dropped_calls,
    unused_inputs,
    overwritten_inputs,
    replaced_constants,
    added_indexes,
    indexed_slices,
    mapped_conversions,
    double_reversals,
    foreign_names,
    constants_for_values,
    unreachable_code,
    removed_checks,
    replaced_errors,
    lost_effects,
    compensations,
    neutral_operations,
    changed_comparisons,
    swallowed_exceptions,
    empty_effects,
    special_cases,
    inputs_of_the_test,
    invented_cases,
    hidden_text,
    copied_results,
    test_detection,
    manipulated_tests,
    metadata,
)
MOST = 12
"""Doubts of one patch; more would not change the verdict."""


def static_doubts(
    before: Mapping[str, str | None],
    after: Mapping[str, str | None],
    issue: str,
    test_sources: Mapping[str, str],
    sources: Mapping[str, ProgramFile],
) -> tuple[Doubt, ...]:
    """What speaks against a patch, the gravest first, each kind and detail once. `before` and `after` hold the text of
    every changed file, None for one that does not exist. Never raises: files that do not parse raise no doubt."""
    try:
        program = edited_program(before, after, issue, test_sources, sources)
        found = dict.fromkeys(doubt for measure in MEASURES for doubt in measure(program))
    except RecursionError:
        return ()
    return tuple(sorted(found, key=lambda doubt: doubt.severity != "fail")[:MOST])
