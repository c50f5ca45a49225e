"""Classifies the failing tests of a baseline: those that fail for their environment are set apart before a search.

A rule names what is missing only if the exception's type and place, the repository's declarations and what the sandbox
refused leave no doubt; where the program may be at fault, the test stays a failing one.
"""

from collections.abc import Iterable
from pathlib import Path

from assets.executions.repository.declared import declared
from assets.executions.repository.installed import Installed
from assets.executions.repository.test_command import number_of_tests
from assets.executions.trial.baseline import Baseline, Failure
from assets.executions.trial.environment import files, network, packages, suite_setup, system
from assets.executions.trial.environment.case import Case, Found, Rule, passed
from assets.executions.trial.raised import Raised
from core.work import EnvironmentFailure, Outcome

RULES: tuple[Rule, ...] = (
    *suite_setup.RULES, *packages.RULES, *system.RULES, *network.RULES, *files.RULES,
)  # fmt: skip
"""In this order: the first that applies to the outermost exception of a chain names what is missing."""
_SHOWN = 3


def set_apart(root: Path, baseline: Baseline, installed: Installed | None = None) -> Baseline:
    """The baseline with the tests that fail for their environment: named in `environment`, their outcome unknown."""
    return baseline.without(environment_failures(root, baseline, installed))


def environment_failures(
    root: Path, baseline: Baseline, installed: Installed | None = None
) -> tuple[EnvironmentFailure, ...]:
    """What is missing, the thing that most tests need first; empty when no test fails for its environment. `installed`
    is what the tests were run with; None for what is installed beside Penstock."""
    failing = [*baseline.failing, *(c for c in baseline.commands if baseline.run.outcomes[c] is Outcome.FAILED)]
    if not failing:
        return ()
    declarations = declared(root, installed)
    groups: dict[Found, list[str]] = {}
    for test in failing:
        failures = baseline.failures.get(test, ())
        failure = failures[0] if failures else _of_output(baseline.run.failures.get(test, ""))
        found = classify(Case(declarations, baseline, test, failure))
        if found is not None:
            groups.setdefault(found, []).append(test)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return tuple(
        EnvironmentFailure(kind=f.kind, missing=f.missing, remedy=f.remedy, tests=tuple(tests)) for f, tests in ordered
    )


def classify(case: Case) -> Found | None:
    """What this test's environment lacks; None when the program, or the test, may be at fault."""
    for link in case.links:
        for rule in RULES:
            found = rule(case, link)
            if found is not None:
                return found
    return None


def _of_output(output: str) -> Failure:
    """The failure of a command of which only the output is known: as an exception with that text."""
    link = Raised(type="CalledProcessError", message=output, output=output)
    lines = [line for line in output.splitlines() if line.startswith(("ModuleNotFoundError: ", "ImportError: "))]
    chain = [link]
    if lines and "No module named '" in lines[-1]:
        name = lines[-1].split("No module named '", 1)[1].split("'", 1)[0]
        chain.append(Raised(type="ModuleNotFoundError", bases=("ImportError",), message=lines[-1], name=name))
    if "unrecognized arguments:" in output:
        chain.append(Raised(type="UsageError", message=output))
    return Failure("CalledProcessError", output, raised=tuple(chain))


def summary(baseline: Baseline) -> str | None:
    """The summary of an attempt that ends because the tests that fail do so for their environment; None otherwise."""
    if not baseline.environment or baseline.failing:
        return None
    first, *others = baseline.environment
    remedy = first.remedy[:1].lower() + first.remedy[1:]
    apart = baseline.apart
    text = f"The tests need {first.missing}: {remedy}"
    text += f" {number_of_tests(apart)} {'fails' if len(apart) == 1 else 'fail'} for {_reasons(others)}"
    if count := passed(baseline):
        text += f"; {number_of_tests(range(count))} {'passes' if count == 1 else 'pass'}"
    text += ". Nothing else fails, so nothing reproduces the problem, and no candidate was tried."
    return text + "".join(f" They also need {o.missing}: {o.remedy[:1].lower()}{o.remedy[1:]}" for o in others[:_SHOWN])


def _reasons(others: Iterable[EnvironmentFailure]) -> str:
    return "these reasons" if tuple(others) else "this reason"


def notes(baseline: Baseline) -> tuple[str, ...]:
    """A note for each thing that is missing: which tests are left aside for it."""
    return tuple(
        f"{number_of_tests(failure.tests)} left aside, which {'needs' if len(failure.tests) == 1 else 'need'} "
        f"{failure.missing}: {', '.join(failure.tests[:_SHOWN])}. {failure.remedy}"
        for failure in baseline.environment
    )
