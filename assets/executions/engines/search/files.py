"""The files of a checkout that a patch may change, parsed on first access."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from assets.executions.engines.search.source import SourceFile, Unreadable
from assets.executions.repository.protected_paths import is_test_path, steers_tests
from assets.executions.repository.settings import RepositorySettings
from assets.executions.repository.test_command import python_files


class EditableFiles(Mapping[str, SourceFile]):
    """Python files that are not tests and that `paths` of `penstock.toml` allows. Unreadable files are left out with a
    note; a file with a syntax error is included, since that can be the fault. Files that the test command names count
    as tests, which a patch must not change."""

    def __init__(self, root: Path, settings: RepositorySettings, command: str | None = None) -> None:
        self._root = root
        self._settings = settings
        self._in_command = {word.removeprefix("./") for word in re.split(r"[\s'\"=;&|()]+", command or "")}
        self.paths = tuple(
            p for p in python_files(root) if not is_test_path(p) and settings.allows(p) and p not in self._in_command
        )
        self._known = set(self.paths)
        self._parsed: dict[str, SourceFile | None] = {}
        self.notes: list[str] = []

    def __getitem__(self, path: str) -> SourceFile:
        if path not in self._known:
            raise KeyError(path)
        if path not in self._parsed:
            try:
                self._parsed[path] = SourceFile(path, (self._root / path).read_bytes(), broken_ok=True)
            except Unreadable as reason:
                self.notes.append(str(reason))
                self._parsed[path] = None
        source = self._parsed[path]
        if source is None:
            raise KeyError(path)
        return source

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def refusal(self, path: str) -> str | None:
        """Why a patch may not add, change or delete the file with this relative path; None if it may."""
        parts = path.split("/")
        if path in self._known:
            return None
        if len(path) > 400 or not all(parts) or {".", ".."} & set(parts) or not path.isprintable() or "\\" in path:
            return "it is not a plain path under the repository's root"
        if is_test_path(path) or path in self._in_command:
            return "it belongs to the tests"
        if steers_tests(path):
            return "it decides how tests are run"
        if not self._settings.allows(path):
            return "the repository's settings do not allow it"
        return None
