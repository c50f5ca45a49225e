"""What tests are called in the languages of repair cases, to find out whether an issue names one that is held back."""

import re
from collections.abc import Iterable

_TESTS = {
    "python": re.compile(r"(?:^|/)test[^/]*\.py$"),
    "go": re.compile(r"_test\.go$"),
    "javascript": re.compile(r"(?:^|/)tests?/.*\.[cm]?js$|[._-]test\.[cm]?js$"),
}
_NAMES = {
    "python": re.compile(r"^\s*(?:async\s+)?def (test\w+)", re.MULTILINE),
    "go": re.compile(r"^func ((?:Test|Fuzz|Example)\w+)", re.MULTILINE),
    "javascript": re.compile(r"""^\s*(?:test|it)\(\s*["'`]([^"'`\n]+)["'`]""", re.MULTILINE),
}


def is_case_test(language: str, path: str) -> bool:
    """Whether a file of a case holds tests."""
    return _TESTS[language].search(path) is not None


def names_in(language: str, text: str) -> set[str]:
    """The names of the tests in a file: functions, or titles in JavaScript."""
    return set(_NAMES[language].findall(text))


def mentioned(names: Iterable[str], issue: str) -> list[str]:
    """The names that stand in an issue as whole words, sorted."""
    said = " ".join(issue.split())
    return sorted(name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said))
