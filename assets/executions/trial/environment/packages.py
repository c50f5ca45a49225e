"""Failures of imports: packages that are not installed, extensions that are not built, metadata and versions."""

import contextlib
import re

from assets.executions.repository.installed import normal
from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.environment.case import (
    STANDARD,
    Case,
    Found,
    Rule,
    distributions,
    imports,
    misspelt,
    modules_of,
    provider,
    text_of,
)
from assets.executions.trial.raised import Raised

_OPTIONAL = frozenset({"tkinter", "_tkinter", "curses", "_curses", "readline", "dbm", "_dbm", "_gdbm", "sqlite3",
                       "_sqlite3", "lzma", "_lzma", "bz2", "_bz2", "ssl", "_ssl", "ctypes", "_ctypes",
                       "turtle", "idlelib"})  # fmt: skip
"""Modules of the standard library that Python can be built or packaged without."""
_BUILT = (".pyx", ".c", ".cc", ".cpp", ".cxx", ".rs", ".pyi", ".pxd", ".f90", ".f")
_FROM = re.compile(r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'")
_ATTRIBUTE = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")


def submodule(case: Case, link: Raised) -> Found | None:
    """A file or module of a git submodule, which a checkout leaves empty."""
    for path in case.declared.submodules:
        if any(file.startswith(path + "/") for file in case.declared.files):
            continue
        top = link.name.split(".")[0]
        missing_file = link.is_a("FileNotFoundError", "NotADirectoryError") and _below(link.file, path)
        missing_module = link.is_a("ModuleNotFoundError") and top and normal(top) in map(normal, path.split("/"))
        if missing_file or missing_module:
            return Found(
                "submodule",
                f"the git submodule `{path}`, whose folder is empty here",
                "Commit a copy of its files, or name tests that do not need it with `--test`.",
            )
    return None


def metadata_missing(case: Case, link: Raised) -> Found | None:
    """`importlib.metadata` finds no distribution: the project's own, or one that it declares."""
    name = link.name or link.message
    if not link.is_a("PackageNotFoundError", "DistributionNotFound"):
        return None
    wanted = (re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or [""])[0] if " " in name else name
    if normal(wanted) == normal(case.declared.name or "\0"):
        return Found(
            "metadata",
            f"the metadata of the project `{wanted}` itself, which is not installed",
            f"Install the project beside Penstock with `.venv/bin/pip install --no-deps DIR` (the folder of {wanted}).",
        )
    if normal(wanted) in case.declared.requirements:
        return Found(
            "package", f"the package `{wanted}`, which is not installed", case.declared.installed.remedy(wanted)
        )
    return None


def missing_module(case: Case, link: Raised) -> Found | None:
    """A module that is not there: a package, an extension to be built, or a file that building the project writes."""
    if not link.is_a("ModuleNotFoundError") or not link.name or link.is_a("PackageNotFoundError"):
        return None
    top = link.name.split(".")[0]
    built = _to_be_built(case, link.name)
    if built is not None:
        return built
    modules = modules_of(case.declared)
    if top in STANDARD:
        if top not in _OPTIONAL:
            return None
        return Found(
            "python module",
            f"Python's module `{top}`, which this Python was built without",
            f"Install it on Penstock's machine (Debian: `apt install python3-{top.strip('_')}`).",
        )
    if top in modules.top:
        return None
    providers = distributions(top, case.declared)
    deeper = "." in link.name and top in case.declared.installed.modules
    if deeper:
        return _wrong_version(case, top)
    if providers:
        why = "which the project declares and which is not installed"
        return Found("package", f"the package `{providers[0]}`, {why}", case.declared.installed.remedy(providers[0]))
    if top in modules.all:
        return None
    library = link.outside and not _importing_machinery(link)
    if not library and _is_wrong_name(case, link, top, modules.all | modules.top):
        return None
    name = provider(top)
    return Found("package", f"the package `{name}`, which is not installed", case.declared.installed.remedy(name))


def _importing_machinery(link: Raised) -> bool:
    return link.place is not None and link.place.module.split(".")[0] in (
        "importlib", "_frozen_importlib", "_frozen_importlib_external", "_pytest", "runpy", "pkgutil",
    )  # fmt: skip


def _is_wrong_name(case: Case, link: Raised, top: str, own: frozenset[str]) -> bool:
    """Whether the program asks for a wrong name: it computed it, or misspelt a module that exists."""
    if misspelt(top, own):
        return True
    statement = case.statement(link.inside)
    if link.inside is None:
        return False
    written = statement is not None and imports([statement], link.name)
    if is_test_path(link.inside.path):
        return not written and f'"{link.name}"' not in case.source and f"'{link.name}'" not in case.source
    if not written:
        return True
    known = {*STANDARD, *(name.replace("-", "_") for name in case.declared.requirements), *_importable(case)}
    others = [path for path in case.declared.mentions(top) if path != link.inside.path]
    return not others and misspelt(top, known) is not None


def _to_be_built(case: Case, module: str) -> Found | None:
    """A module of the repository that building it makes: a compiled extension, or a generated file."""
    parts = module.split(".")
    path = "/".join(parts)
    files = case.declared.files
    if any(f in (f"{folder}{path}.py", f"{folder}{path}/__init__.py") for f in files for folder in ("", "src/")):
        return None
    if not any(f.split("/")[0] == parts[0] or f.startswith(f"src/{parts[0]}/") for f in files) and len(parts) > 1:
        return None
    sources = [f for f in files if f.endswith(_BUILT) and f.rsplit("/", 1)[-1].rsplit(".", 1)[0] == parts[-1]]
    setup = text_of(case.declared.root, "setup.py")
    if sources or re.search(rf"Extension\(\s*(?:name\s*=\s*)?[\"'](?:[\w.]+\.)?{re.escape(parts[-1])}[\"']", setup):
        return Found(
            "extension",
            f"the compiled extension `{module}`, which is not built",
            'Build it with `setup = ["python setup.py build_ext --inplace"]`, or its own command, in penstock.toml.',
        )
    written = (f"{path}.py", f"src/{path}.py")
    if any(g.removeprefix("./") in written for g in case.declared.generated) or (
        len(parts) > 1 and any(case.declared.is_ignored(w) for w in written)
    ):
        return Found(
            "generated file",
            f"the module `{module}`, which building the project writes",
            f"Write it with a `setup` command in penstock.toml, such as `echo 'version = \"0\"' > {path}.py`.",
        )
    return None


def wrong_name_from(case: Case, link: Raised) -> Found | None:
    """A name that a package lacks: an extension that is not built, or a version that the project does not support."""
    found = _FROM.search(link.message) if link.is_a("ImportError") else None
    if found is not None:
        name, module = found.groups()
        if module.split(".")[0] in modules_of(case.declared).top:
            return _to_be_built(case, f"{module}.{name}")
    elif link.is_a("AttributeError") and (found := _ATTRIBUTE.search(link.message)):
        module, name = found.groups()
    else:
        return None
    top = module.split(".")[0]
    if top in STANDARD:
        return python_version(case, link)
    return _wrong_version(case, top)


def shared_library(case: Case, link: Raised) -> Found | None:
    """A library of the operating system that a package or `ctypes` loads."""
    found = re.search(r"([\w.+-]+\.so[\w.]*): cannot open shared object file", link.message)
    if found is None or case.decided(link):
        return None
    remedy = "Install it on Penstock's machine: the sandbox sees the libraries in /usr/lib."
    return Found("library", f"the shared library `{found[1]}`, which is not installed", remedy)


def python_version(case: Case, link: Raised) -> Found | None:
    """A Python that the project does not support, or a test that does not parse with this one."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    release = case.declared.installed.python
    running = release.rpartition(".")[0]
    remedy = f"Run Penstock with that Python; it runs with {running}."
    syntax = link.is_a("SyntaxError")
    with contextlib.suppress(InvalidSpecifier):
        wanted = case.declared.python
        unsupported = wanted and release not in SpecifierSet(wanted)
        if unsupported and (syntax or link.is_a("ImportError", "AttributeError")):
            return Found("python", f"Python {wanted}, which the project declares", remedy)
    if syntax and link.file and is_test_path(link.file) and link.file in case.declared.files:
        name = f"a Python that can parse {link.file} ({link.message[:80]})"
        return Found("python", name, f"Run Penstock with such a Python, or repair that test; it runs with {running}.")
    return None


def _wrong_version(case: Case, top: str) -> Found | None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    installed = case.declared.installed
    for name in distributions(top, case.declared):
        with contextlib.suppress(KeyError, InvalidSpecifier):
            version, wanted = installed.versions[name], case.declared.requirements[name]
            if wanted and version not in SpecifierSet(wanted):
                why = f"`{name}` {wanted}, which the project declares; {version} is installed"
                return Found("version", why, installed.remedy(f"{name}{wanted}"))
    return None


def _importable(case: Case) -> set[str]:
    return {name for name in case.declared.installed.modules if name.isidentifier()}


def _below(file: str, folder: str) -> bool:
    inside = file.removeprefix("/workspace/").removeprefix("./")
    return inside == folder or inside.startswith(folder + "/") or f"/{folder}/" in file


RULES: tuple[Rule, ...] = (
    submodule, metadata_missing, missing_module, wrong_name_from, shared_library, python_version,
)  # fmt: skip
