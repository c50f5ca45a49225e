"""Where this installation stores eval sets and results, and the commit of the program that it runs."""

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assets.evals.runs.store import ResultStore

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "sandbox", "assets", "sensors", "dagster_project")


def result_store() -> "ResultStore":
    """The results, stored under the home folder."""
    from assets.evals.runs.store import ResultStore
    from core.settings import load_settings

    return ResultStore(load_settings().home / "evals")


def set_roots() -> list[Path]:
    """Folders that hold sets: the user's own first, then those shipped with the program."""
    from core.settings import load_settings

    return [load_settings().home / "eval_sets", Path("eval_sets").resolve(), ROOT / "eval_sets"]


def find_set(name: str) -> Path:
    """A set's folder, by its name or path. Raises `EvalSetError`."""
    from assets.evals.sets.eval_set import EvalSetError, find_sets

    if (Path(name) / "set.json").is_file():
        return Path(name).resolve()
    known = find_sets(set_roots())
    if name not in known:
        raise EvalSetError(f"there is no eval set {name!r}; known: {', '.join(sorted(known)) or 'none'}")
    return known[name]


def code_commit() -> str:
    """The program's commit, with a hash of its uncommitted changes if there are any.

    `unknown` outside a checkout or if git fails. Such runs can be compared, and the comparison says so.
    """
    if not (ROOT / ".git").exists():
        return "unknown"
    try:
        head = _git("rev-parse", "--verify", "--quiet", "HEAD").decode().strip()
        changed = _git("diff", "--no-ext-diff", "--no-textconv", "HEAD", "--", *ROOMS)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    suffix = f"-changed-{hashlib.sha256(changed).hexdigest()[:8]}" if changed else ""
    return f"{head[:12]}{suffix}" if head else "unknown"


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).stdout
