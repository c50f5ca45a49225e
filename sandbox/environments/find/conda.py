"""What `environment.yml` declares: conda's packages of Python as requirements, and those of pip.

https://docs.conda.io/projects/conda/en/latest/user-guide/tasks/manage-environments.html
"""

import re
from dataclasses import dataclass, field
from typing import Any

from .files import Files

FILES = ("environment.yml", "environment.yaml")
_OF_CONDA = frozenset({"pip", "conda", "python", "setuptools", "wheel", "compilers", "gcc", "make", "nodejs"})


@dataclass
class CondaEnvironment:
    """`lines` are requirements in pip's format; `python` is a specifier, empty for any."""

    file: str = ""
    python: str = ""
    lines: list[str] = field(default_factory=list)


def conda_environment(files: Files) -> CondaEnvironment:
    for path in FILES:
        text = files.text(path)
        if text is not None and len(text) < 256 << 10:
            return _parsed(path, text)
    return CondaEnvironment()


def _parsed(path: str, text: str) -> CondaEnvironment:
    import yaml  # few repositories have such a file

    try:
        content: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return CondaEnvironment()
    listed = content.get("dependencies") if isinstance(content, dict) else None
    found = CondaEnvironment(path)
    for item in listed[:1000] if isinstance(listed, list) else ():
        if isinstance(item, dict):
            inner = item.get("pip")
            found.lines += [line for line in inner[:1000] if isinstance(line, str)] if isinstance(inner, list) else []
            continue
        parsed = re.fullmatch(r"(?:[\w.-]+::)?([\w.-]+)\s*(.*)", str(item).strip())
        if parsed is None:
            continue
        specifier = _specifier(parsed[2])
        if parsed[1] == "python":
            found.python = specifier
        elif parsed[1] not in _OF_CONDA and not parsed[1].startswith("_"):
            found.lines.append(f"{parsed[1]}{specifier}")
    return found


def _specifier(text: str) -> str:
    """Conda's `=1.2=build` (any 1.2) and `==1.2`, `>=1.2,<2` as PEP 440."""
    text = text.strip().replace(" ", "")
    if fuzzy := re.fullmatch(r"=([\w.]+\*?)(=.*)?", text):
        return f"=={fuzzy[1].rstrip('*').rstrip('.')}.*"
    return text if re.fullmatch(r"([<>=!~]=?[\w.*]+,?)*", text) else ""
