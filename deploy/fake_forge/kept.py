"""The state of a fake forge in a file, so that one that was killed goes on where it stood.

The file is written before a request is answered: what a client was told, the next process knows. Only for files that
the same user wrote; it is a pickle.
"""

import pickle
from pathlib import Path

from deploy.fake_forge import git
from deploy.fake_forge.state import State

FILE = "state.pickle"
_FIELDS = ("users", "tokens", "repositories", "app", "writes", "ids")


def save(state: State, folder: Path) -> None:
    """Replaces the file in `folder` by the present state."""
    with state.lock:
        partial = folder / f"{FILE}.new"
        with partial.open("wb") as file:
            pickle.dump({name: getattr(state, name) for name in _FIELDS}, file)
        partial.chmod(0o600)
        partial.replace(folder / FILE)


def load(state: State, folder: Path) -> None:
    """Restores what was saved in `folder`, if anything. Branches are as git has them: a push may have reached git
    before a kill and not this file."""
    try:
        kept = pickle.loads((folder / FILE).read_bytes())  # noqa: S301  our own file
    except FileNotFoundError:
        return
    with state.lock:
        for name in _FIELDS:
            setattr(state, name, kept[name])
        for repository in state.repositories.values():
            repository.path = state.folder / repository.owner / f"{repository.name}.git"
            branches = git.branches(repository.path)
            for pull in [pull for pull in repository.pulls if pull.state == "open"]:
                found = {name: commit for name, commit in branches.items() if name == pull.head}
                state.pushed(repository, pull.author, {pull.head: pull.head_commit}, found)
