"""The result of one test, whatever ran it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Outcome = Literal["passed", "failed", "error", "skipped"]
"""`error` is for what keeps tests from being run: code that does not compile, a suite that cannot be loaded."""
MOST_CASES = 50_000
MOST_MESSAGE = 4_000
"""Characters of a message that are kept: the first and the last ones."""
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


def is_test(test: str) -> bool:
    """Whether an id is a test's, and not that of a step: building, loading a file, starting a package's runner. The run
    of a single file is a test, where a target of Rust has a harness of its own or a file is run by Node.js."""
    path, _, name = test.rpartition("::")
    return name not in ("(build)", "(load)") and (name != "(run)" or not path.endswith("package.json"))


@dataclass(frozen=True)
class TestCase:
    """One test. `id` is `FILE::NAME`, where FILE is relative to the repository's root (a folder where no file is
    known); `seconds` is its wall time, None where the report does not say it. `message` is why it failed; `path` and
    `line` are the place in the repository that the failure names, empty and 0 for none."""

    __test__ = False

    id: str
    outcome: Outcome
    seconds: float | None = None
    message: str = ""
    path: str = ""
    line: int = 0


def unique(cases: Iterable[TestCase]) -> list[TestCase]:
    """The cases with one outcome for each id, the worst where a report has several; at most `MOST_CASES`."""
    worst: dict[str, TestCase] = {}
    order = ("skipped", "passed", "failed", "error")
    for case in cases:
        known = worst.get(case.id)
        if known is None and len(worst) >= MOST_CASES:
            break
        if known is None or order.index(case.outcome) > order.index(known.outcome):
            worst[case.id] = replace(case, message=shortened(case.message))
    return list(worst.values())


def shortened(text: str) -> str:
    """A message without control characters, of which the middle is left out when it is long."""
    text = _ESCAPE.sub("", text).strip()
    if len(text) <= MOST_MESSAGE:
        return text
    return f"{text[: MOST_MESSAGE // 2]}\n[…]\n{text[-MOST_MESSAGE // 2 :]}"
