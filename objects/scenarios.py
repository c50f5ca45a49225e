"""Tests that come with a type: scenarios, as data, so that they judge a handler in any language from outside the
sandbox.

    {"name": "adds up", "steps": [{"call": "add", "argument": {"amount": 2}, "answer": {"total": 2}},
                                  {"restart": true},
                                  {"call": "take", "argument": {"amount": 9}, "refused": "too-much"}],
     "state": {"total": 2}}

`answer`: the answer is exactly this; `includes`: it has at least these fields. `restart`: the process is replaced, so
that only the state is left.
"""

from collections.abc import Mapping
from typing import Any

MAX_STEPS = 100
MAX_SCENARIOS = 100
_STEP = {"call", "argument", "answer", "includes", "refused", "key"}
_SCENARIO = {"name", "steps", "state"}


class BadScenario(ValueError):
    """A scenario is malformed; the message names the place."""


def check_scenarios(value: object) -> None:
    """Raises `BadScenario`."""
    if not isinstance(value, list) or len(value) > MAX_SCENARIOS:
        raise BadScenario(f"scenarios: must be a list of at most {MAX_SCENARIOS}")
    for number, scenario in enumerate(value):
        place = f"scenarios[{number}]"
        if not isinstance(scenario, Mapping) or not isinstance(scenario.get("name"), str):
            raise BadScenario(f"{place}: must be a JSON object with a name")
        _only(scenario, _SCENARIO, place)
        steps = scenario.get("steps")
        if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
            raise BadScenario(f"{place}.steps: must be a list of 1 to {MAX_STEPS} steps")
        for at, step in enumerate(steps):
            where = f"{place}.steps[{at}]"
            if not isinstance(step, Mapping):
                raise BadScenario(f"{where}: must be a JSON object")
            if step.get("restart") is True and len(step) == 1:
                continue
            _only(step, _STEP, where)
            if not isinstance(step.get("call"), str):
                raise BadScenario(f"{where}.call: must name a method")
            if not isinstance(step.get("key", ""), str) or not isinstance(step.get("refused", ""), str):
                raise BadScenario(f"{where}: key and refused must be texts")


def _only(value: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := sorted(str(name) for name in set(value) - known):
        raise BadScenario(f"{place}.{unknown[0][:60]}: is not expected; these are: {', '.join(sorted(known))}")


def includes(value: Any, wanted: Any) -> bool:
    """Whether a value has at least what is wanted, field by field."""
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return all(name in value and includes(value[name], part) for name, part in wanted.items())
    return bool(value == wanted)
