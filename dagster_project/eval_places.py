"""Where this installation keeps eval sets and results, and which commit of the program it runs."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assets.evals.store import ResultStore

ROOT = Path(__file__).parents[1]


def result_store() -> "ResultStore":
    """Results lie below the home folder."""
    from assets.evals.store import ResultStore
    from core.settings import load_settings

    return ResultStore(load_settings().home / "evals")


def set_roots() -> list[Path]:
    """Folders that hold sets: the user's own first, then those beside the program."""
    from core.settings import load_settings

    return [load_settings().home / "eval_sets", Path("eval_sets").resolve(), ROOT / "eval_sets"]


def find_set(name: str) -> Path:
    """A set's folder, by its name or path. Raises `EvalSetError`."""
    from assets.evals.sets import EvalSetError, find_sets

    if (Path(name) / "set.json").is_file():
        return Path(name).resolve()
    known = find_sets(set_roots())
    if name not in known:
        raise EvalSetError(f"there is no eval set {name!r}; known: {', '.join(sorted(known)) or 'none'}")
    return known[name]


def code_commit() -> str:
    """The commit of the program, marked when files differ from it; `unknown` outside a checkout."""
    if not (ROOT / ".git").exists():
        return "unknown"
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=-changed", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() or "unknown"
