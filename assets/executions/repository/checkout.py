"""A clean directory with one commit's files and that commit's settings.

The files come straight from git objects (`core.git`), so a dirty working tree, hooks and filters have no effect.
"""

from dataclasses import dataclass
from pathlib import Path

from assets.executions.repository.settings import FILE_NAME, MAX_BYTES, RepositorySettings, read_settings
from core.git.repository import Repository


@dataclass(frozen=True)
class Checkout:
    """`root` holds exactly the files of `commit` (a full id); `settings` are that commit's `penstock.toml`. `branch` is
    the repository's, `tag` the newest that the commit contains, `committed` its time (RFC 3339); empty if unknown."""

    root: Path
    commit: str
    settings: RepositorySettings
    notes: tuple[str, ...] = ()
    branch: str = ""
    tag: str = ""
    committed: str = ""


def open_checkout(repository: Path, commit: str, into: Path) -> Checkout:
    """Writes the files of `commit` (any ref) into the new or empty directory `into`.

    Raises `core.git.command.GitError`, or `RepositorySettingsError` when `penstock.toml` is invalid.
    """
    source = Repository(repository)
    full = source.resolve(commit)
    export = source.export(full, into)
    file = into / FILE_NAME
    settings = read_settings(file.read_bytes()[: MAX_BYTES + 1] if file.is_file() and not file.is_symlink() else None)
    notes = [
        f"{path} is a link that leads out of the repository; it was not followed." for path in export.links_outside
    ]
    notes += [f"{path} is a submodule, of which no files are read." for path in export.submodules]
    tag, committed = source.nearest_tag(full), source.committed(full)
    return Checkout(into, full, settings, tuple(notes), source.branch(), tag, committed)
