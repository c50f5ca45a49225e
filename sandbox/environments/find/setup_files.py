"""What `setup.cfg` and `setup.py` declare; `setup.py` is parsed, never run, so only literals count."""

import ast
from dataclasses import dataclass, field

from sandbox.environments.wanted import EnvironmentRefused, Requirement

from .files import Files
from .requirement_files import normal, requirement


@dataclass
class SetupFiles:
    """`exists` tells whether there is one; `dynamic` whether some of it is only known when it is built."""

    exists: bool = False
    name: str = ""
    python: str = ""
    python_from: str = ""
    dependencies: list[Requirement] = field(default_factory=list)
    extras: dict[str, list[Requirement]] = field(default_factory=dict)
    tests: list[Requirement] = field(default_factory=list)
    setup_requires: list[str] = field(default_factory=list)
    dynamic: bool = False


def setup_files(files: Files, folder: str = "") -> SetupFiles:
    """Reads both files of a project; setup.cfg wins where both say something. Raises `EnvironmentRefused`."""
    prefix = f"{folder}/" if folder else ""
    found = SetupFiles()
    _setup_py(files, f"{prefix}setup.py", found)
    _setup_cfg(files, f"{prefix}setup.cfg", found)
    return found


def _setup_cfg(files: Files, path: str, found: SetupFiles) -> None:
    sections = files.ini(path)
    if "metadata" not in sections and "options" not in sections:
        return
    options = sections.get("options", {})
    found.exists = True
    found.name = normal(sections.get("metadata", {}).get("name", "")) or found.name
    if options.get("python_requires"):
        found.python, found.python_from = options["python_requires"], f"{path}: options.python_requires"
    found.dependencies += _listed(options.get("install_requires", ""), path, "options.install_requires", found)
    found.tests += _listed(options.get("tests_require", ""), path, "options.tests_require", found)
    found.setup_requires += [r.text for r in _listed(options.get("setup_requires", ""), path, "setup_requires", found)]
    for name, value in sections.get("options.extras_require", {}).items():
        found.extras[normal(name)] = _listed(value, path, f"options.extras_require.{name}", found)


def _listed(value: str, path: str, place: str, found: SetupFiles) -> list[Requirement]:
    if value.strip().startswith(("file:", "attr:")):
        found.dynamic = True
        return []
    lines = [line.split(" #")[0].strip() for line in value.replace(";\n", "\n").splitlines()]
    # Before setuptools allowed one a line only, a list could also be separated by commas... of names alone.
    return [requirement(line, path, place) for line in lines[:2000] if line and not line.startswith("#")]


def _setup_py(files: Files, path: str, found: SetupFiles) -> None:
    tree = files.tree(path)
    if tree is None:
        found.exists = path in files.read
        found.dynamic = found.exists
        return
    found.exists = True
    values = {target.id: node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
              for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    call = next((node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "setup"), None)
    if call is None:
        found.dynamic = True
        return
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    found.dynamic = any(keyword.arg is None for keyword in call.keywords)

    def value(key: str) -> object:
        if key not in given:
            return None
        known = _literal(given[key], values, 0)
        if known is None:
            found.dynamic = True
        return known

    def listed(items: object, key: str) -> list[Requirement]:
        items = [items] if isinstance(items, str) else items
        if not isinstance(items, list | tuple):
            return []
        try:
            lines = [line.strip() for item in items[:2000] if isinstance(item, str) for line in item.splitlines()]
            return [requirement(line, path, key) for line in lines if line and not line.startswith("#")]
        except EnvironmentRefused:
            if key == "install_requires":
                raise
            return []

    name = value("name")
    found.name = normal(name) if isinstance(name, str) else ""
    python = value("python_requires")
    if isinstance(python, str):
        found.python, found.python_from = python, f"{path}: python_requires"
    found.dependencies += listed(value("install_requires"), "install_requires")
    found.tests += listed(value("tests_require"), "tests_require")
    found.setup_requires += [r.text for r in listed(value("setup_requires"), "setup_requires")]
    extras = value("extras_require")
    if isinstance(extras, dict):
        for key, items in extras.items():
            found.extras[normal(str(key))] = listed(items, f"extras_require.{key}")


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _literal(node: ast.expr, values: dict[str, ast.expr], depth: int) -> object:
    """The value of a literal, also of sums of literals and of names that they are assigned to; None for any other."""
    if depth > 20:
        return None
    if isinstance(node, ast.Name) and node.id in values:
        return _literal(values[node.id], values, depth + 1)
    if isinstance(node, ast.List | ast.Tuple):
        items = [_literal(item.value if isinstance(item, ast.Starred) else item, values, depth + 1)
                 for item in node.elts[:2000]]  # fmt: skip
        flat: list[object] = []
        for item in items:
            flat += item if isinstance(item, list) else [item]
        return None if None in flat else flat
    if isinstance(node, ast.Dict):
        pairs = [(_literal(k, values, depth + 1) if k is not None else None, _literal(v, values, depth + 1))
                 for k, v in zip(node.keys, node.values, strict=True)]  # fmt: skip
        return {k: v for k, v in pairs if isinstance(k, str) and v is not None}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left, values, depth + 1), _literal(node.right, values, depth + 1)
        same = (isinstance(left, list) and isinstance(right, list)) or (
            isinstance(left, str) and isinstance(right, str)
        )
        return left + right if same else None  # type: ignore[operator]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
