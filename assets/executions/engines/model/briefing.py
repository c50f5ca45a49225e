"""What a model is told of a problem and of its candidates, as text that is not marked as data yet."""

from assets.executions.engines.protocol import Observation, Problem
from assets.executions.engines.search.spectrum import Suspect, locations

from .tools import cut

SHOWN_TESTS, SHOWN_PLACES = 5, 10


def tests_text(problem: Problem) -> str:
    """The failing tests with their sources and failures."""
    baseline, tests = problem.baseline, problem.targets.tests
    shown = []
    for test in tests[:SHOWN_TESTS]:
        failures = baseline.failures.get(test, ())
        failure = f"{failures[0].type}: {failures[0].message}" if failures else "failed"
        shown.append(f"{test}\n{problem.test_sources.get(test, '')}\n{cut(failure, 2000)}")
    if len(tests) > SHOWN_TESTS:
        shown.append(f"and {len(tests) - SHOWN_TESTS} more")
    return "\n\n".join(shown)


def places_text(suspects: list[Suspect], problem: Problem) -> str:
    """The most suspicious places, one a line."""
    found = locations(suspects) or problem.context.locations
    places = [f"{place.path}:{place.start_line} {place.symbol}" for place in found[:SHOWN_PLACES]]
    return "\n".join(places) or "unknown"


def as_text(observation: Observation, targets: int) -> str:
    """An observation as text for the model."""
    if observation.status == "regress":
        worse = f"{observation.broken} does not pass with these edits"
        return cut(f"The failing tests pass, but the whole suite is worse: {worse}. {observation.message}".strip())
    if observation.status == "rejected":
        return cut(
            f"The failing tests pass, but the gate rejects these edits: {observation.broken} {observation.message}"
        )
    if observation.status == "known":
        return cut(f"The failing tests pass, but {observation.broken}.")
    if observation.status == "draft":
        return cut(f"The failing tests pass, and these edits are good for a draft only: {observation.broken}")
    if observation.status == "compile":
        said = observation.message.strip()
        return cut(f"The program does not compile with these edits.\n{said}".strip())
    if observation.status in ("hang", "crash"):
        what = "did not end in time" if observation.status == "hang" else "ended the process"
        return f"A test {what} with these edits. {observation.signature}".strip()
    passed = f"{len(observation.passed)} of the {targets} tests pass. " if observation.passed else ""
    failure = observation.message or observation.signature
    return cut(f"{passed}Still failing:\n{failure}" if failure else f"{passed}The tests still fail.")
