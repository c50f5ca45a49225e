"""Interactive examples (`>>>`) in docstrings and documentation that mention a changed function, run one by one."""

import doctest
import os
import sys
from types import ModuleType
from typing import Any

from .behaviour_outcome import limited
from .patching import Patcher

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
_MOST_BYTES = 300_000
_MOST_TEXTS = 40
_SECONDS = 2.0


class _Runner(doctest.DocTestRunner):
    """Notes the outcome of each example instead of printing it."""

    def __init__(self) -> None:
        super().__init__(verbose=False, optionflags=_FLAGS)
        self.outcomes: list[tuple[int, str, bool]] = []

    def _note(self, example: doctest.Example, passed: bool) -> None:
        self.outcomes.append((example.lineno, example.source, passed))

    def report_start(self, out: Any, test: Any, example: Any) -> None:
        return

    def report_success(self, out: Any, test: Any, example: doctest.Example, got: str) -> None:
        self._note(example, True)

    def report_failure(self, out: Any, test: Any, example: doctest.Example, got: str) -> None:
        self._note(example, False)

    def report_unexpected_exception(self, out: Any, test: Any, example: doctest.Example, exc_info: Any) -> None:
        self._note(example, False)


def texts_with_examples(
    root: str, functions: list[tuple[str, list[str], int]], patcher: Patcher, documents: list[str]
) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, text, names that it can use) of each docstring or document whose examples may reach the functions."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path, chain, _ in functions:
        module = module_of(root, path)
        if module is None:
            continue
        names = dict(vars(module))
        found.setdefault(path, (module.__doc__ or "", names))
        owner: Any = module
        for depth, name in enumerate(chain):
            owner = vars(owner).get(name) if hasattr(owner, "__dict__") else None
            if owner is None:
                break
            text = getattr(owner, "__doc__", None)
            if isinstance(text, str):
                found.setdefault(f"{path} {'.'.join(chain[: depth + 1])}", (text, names))
        if chain and (live := patcher._by_place.get((path, ".".join(chain)))):
            found.setdefault(f"{path} {'.'.join(chain)}", (live[0].__doc__ or "", names))
    words = {name for _, chain, _ in functions for name in chain if not name.startswith("__")}
    for document in documents:
        text = _read(os.path.join(root, document))  # noqa: PTH118
        if any(word in text for word in words):
            found.setdefault(document, (text, {"__name__": "__main__"}))
    return [(name, text, names) for name, (text, names) in found.items() if ">>>" in text][:_MOST_TEXTS]


def run_examples(name: str, text: str, names: dict[str, Any]) -> list[tuple[int, str, bool]]:
    """(line, source, passed) of each example, in order; empty when the text cannot be parsed or does not end."""
    try:
        test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, 0)
    except ValueError:
        return []
    runner = _Runner()
    try:
        with limited(_SECONDS):
            runner.run(test, out=lambda _: None, clear_globs=True)
    except BaseException:
        return runner.outcomes[:-1]
    return runner.outcomes


def module_of(root: str, path: str) -> ModuleType | None:
    full = os.path.join(root, path)  # noqa: PTH118
    return next((m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == full), None)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:  # noqa: PTH123
            return handle.read(_MOST_BYTES)
    except OSError:
        return ""
