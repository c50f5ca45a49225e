"""Runs in the sandbox: builds one wheel with the package's own backend (PEP 517 and 660), and reports as JSON.

Started with the Python of the build's environment. Imports nothing of Penstock, and nothing newer than Python 3.10.
"""

import importlib
import json
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

_ROOT = Path("/workspace")
_OUT = _ROOT / ".penstock-build"
_LEFT_OUT = re.compile(r"\.git|__pycache__|build|dist|\.eggs|\.penstock-build|.*\.(egg|dist)-info")
_MOST_FILES = 2000


def main() -> None:
    request = json.loads(sys.argv[1])
    folder = _ROOT / request["folder"]
    _OUT.mkdir(exist_ok=True)
    os.chdir(folder)
    before = _tree()
    answer: dict[str, Any]
    try:
        answer = _build(request, folder)
    except BaseException:
        answer = {"error": traceback.format_exc(limit=-6)[-4000:]}
    after = _tree()
    answer["generated"] = sorted(path for path in after if after[path] != before.get(path))[:_MOST_FILES]
    (_OUT / "answer.json").write_text(json.dumps(answer))


def _build(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    sys.path[:1] = [str(folder / path) for path in request["backend_path"]]
    module, _, attribute = request["backend"].partition(":")
    if attribute == "__legacy__":
        sys.path.insert(0, str(folder))
    backend: Any = importlib.import_module(module)
    for name in filter(None, attribute.split(".")):
        backend = getattr(backend, name)
    editable = request["editable"] and hasattr(backend, "build_editable")
    kind = "editable" if editable else "wheel"
    hook = getattr(backend, "get_requires_for_build_" + kind, None)
    wanted = [text for text in (hook(None) if hook else []) if not _is_there(text)]
    if wanted:
        return {"requires": wanted}
    wheel = getattr(backend, "build_" + kind)(str(_OUT), None, None)
    return {"wheel": wheel, "editable": editable}


def _is_there(requirement: str) -> bool:
    from importlib import metadata

    name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    if ";" in requirement or name is None:
        return True  # conditions are the backend's to know; what is missing then fails by itself
    try:
        metadata.version(name[1])
    except metadata.PackageNotFoundError:
        return False
    return True


def _tree() -> dict[str, tuple[int, int]]:
    """Size and time of change of each file of the workspace that a build may write for the tests."""
    found: dict[str, tuple[int, int]] = {}
    for folder, folders, files in os.walk(_ROOT):
        folders[:] = [name for name in folders if not _LEFT_OUT.fullmatch(name)]
        for name in files:
            path = Path(folder, name)
            try:
                facts = path.lstat()
            except OSError:
                continue
            found[path.relative_to(_ROOT).as_posix()] = (facts.st_size, facts.st_mtime_ns)
        if len(found) > 200_000:
            break
    return found


if __name__ == "__main__":
    main()
