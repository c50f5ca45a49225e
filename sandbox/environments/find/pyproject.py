"""What `pyproject.toml` declares: the project, its extras, dependency groups (PEP 735), and those of poetry, pdm, uv
and hatch."""

import re
from collections.abc import Iterator
from typing import Any

from sandbox.environments.wanted import EnvironmentRefused, Requirement

from .files import Files, table, texts
from .requirement_files import local_folder, normal, requirement

FILE = "pyproject.toml"
_MOST_DEPTH = 20


class Pyproject:
    """The declarations of one project. `name` is its distribution's, normalised; empty when it has none."""

    def __init__(self, files: Files, folder: str = "") -> None:
        self.folder = folder
        self.file = f"{folder}/{FILE}" if folder else FILE
        self.content = files.toml(self.file)
        self.project = table(self.content, "project")
        self.poetry = table(self.content, "tool", "poetry")
        self.name = normal(str(self.project.get("name") or self.poetry.get("name") or ""))
        self.local: list[str] = []
        """Paths of local dependencies that it names, relative to its folder."""
        self.members: list[str] = []
        """Names of dependencies that are members of its workspace."""
        self.notes: list[str] = []
        """What was left out of requirements that the project does not need to run."""

    @property
    def python(self) -> tuple[str, str]:
        """The versions of Python that it supports, and the field that says so."""
        if isinstance(found := self.project.get("requires-python"), str):
            return found, "requires-python"
        found = table(self.poetry, "dependencies").get("python")
        return (poetry_specifier(found), "tool.poetry.dependencies.python") if isinstance(found, str) else ("", "")

    @property
    def dynamic(self) -> bool:
        return "dependencies" in texts(self.project.get("dynamic")) or not (self.project or self.poetry)

    @property
    def sources(self) -> dict[str, Any]:
        """Where uv takes packages from that are not from its index."""
        return {normal(name): source for name, source in table(self.content, "tool", "uv", "sources").items()}

    def dependencies(self) -> list[Requirement]:
        """What the project needs to run."""
        found = self._listed(texts(self.project.get("dependencies")), "project.dependencies")
        if not self.project.get("dependencies"):
            found += self._poetry(table(self.poetry, "dependencies"), "tool.poetry.dependencies")
        return found

    def build_requires(self) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
        """Requirements of the build, the backend and the folders it is in; setuptools where nothing is declared."""
        system = table(self.content, "build-system")
        wanted = self._listed(texts(system.get("requires")), "build-system.requires")
        if not system:
            return ("setuptools>=64", "wheel"), "setuptools.build_meta:__legacy__", ()
        backend = system.get("build-backend")
        backend = backend if isinstance(backend, str) else "setuptools.build_meta:__legacy__"
        requires = tuple(r.text for r in wanted) if "requires" in system else ("setuptools>=64",)
        return requires, backend, tuple(texts(system.get("backend-path")))

    def extras(self) -> dict[str, list[Requirement]]:
        """Requirements of each extra by its normalised name, those of the project itself replaced by what they mean."""
        raw = {normal(name): self._listed(texts(value), f"project.optional-dependencies.{name}")
               for name, value in table(self.project, "optional-dependencies").items()}  # fmt: skip
        optional = table(self.poetry, "dependencies")
        for name, value in table(self.poetry, "extras").items():
            chosen = {key: optional[key] for key in texts(value) if key in optional}
            raw.setdefault(normal(name), self._poetry(chosen, f"tool.poetry.extras.{name}", optional=True))
        return {name: self._expanded(name, raw, 0) for name in raw}

    def _expanded(self, name: str, raw: dict[str, list[Requirement]], depth: int) -> list[Requirement]:
        found: list[Requirement] = []
        for item in raw.get(name, ()):
            own = re.fullmatch(r"([\w.-]+)\s*\[([^\]]+)\].*", item.text)
            if own and normal(own[1]) == self.name:
                if depth < _MOST_DEPTH:
                    for inner in own[2].split(","):
                        found += self._expanded(normal(inner.strip()), raw, depth + 1)
            else:
                found.append(item)
        return found

    def groups(self) -> dict[str, list[Requirement]]:
        """Requirements of each dependency group by its normalised name."""
        raw = {normal(name): value for name, value in table(self.content, "dependency-groups").items()}
        found = {name: self._group(name, raw, 0) for name in raw}
        for name, value in table(self.poetry, "group").items():
            found[normal(name)] = self._poetry(table(value, "dependencies"), f"tool.poetry.group.{name}")
        if old := table(self.poetry, "dev-dependencies"):
            found.setdefault("dev", []).extend(self._poetry(old, "tool.poetry.dev-dependencies"))
        for name, value in table(self.content, "tool", "pdm", "dev-dependencies").items():
            found.setdefault(normal(name), []).extend(self._listed(texts(value), f"tool.pdm.dev-dependencies.{name}"))
        uv = texts(table(self.content, "tool", "uv").get("dev-dependencies"))
        found.setdefault("dev", []).extend(self._listed(uv, "tool.uv.dev-dependencies"))
        environments = table(self.content, "tool", "hatch", "envs")
        for name, value in environments.items():
            for key in ("dependencies", "extra-dependencies"):
                listed = self._listed(texts(table(value).get(key)), f"tool.hatch.envs.{name}.{key}")
                found.setdefault("dev" if name == "default" else normal(name), []).extend(listed)
        return {name: items for name, items in found.items() if items}

    def _group(self, name: str, raw: dict[str, Any], depth: int) -> list[Requirement]:
        if depth > _MOST_DEPTH:
            raise EnvironmentRefused(f"the dependency group {name!r} of {self.file}, which includes itself",
                                     f"Remove one include-group from {self.file}.")  # fmt: skip
        found: list[Requirement] = []
        items = raw.get(name)
        for item in items[:2000] if isinstance(items, list) else ():
            if isinstance(item, str):
                found += self._listed([item], f"dependency-groups.{name}")
            elif isinstance(item, dict) and isinstance(inner := item.get("include-group"), str):
                found += self._group(normal(inner), raw, depth + 1)
        return found

    def _listed(self, items: list[str], field: str) -> list[Requirement]:
        """Requirements from a registry; those from elsewhere are local, noted, or refused where the project needs them
        to run or to be built."""
        found = []
        for text in items:
            try:
                found += self._one(text, field)
            except EnvironmentRefused as refusal:
                if field in ("project.dependencies", "build-system.requires"):
                    raise
                self.notes.append(f"Left out: {refusal.missing}.")
        return found

    def _one(self, text: str, field: str) -> list[Requirement]:
        # A path in a PEP 508 requirement is an address: `name @ file:///...` or a relative one that hatch expands.
        name, at, address = text.partition("@")
        if at and (folder := local_folder(address.strip().replace("{root:uri}/", "./"))):
            self.local.append(folder[0])
            return []
        name = normal(re.split(r"[\[<>=!~;@\s(]", name.strip(), maxsplit=1)[0])
        source = table(self.sources, name)
        if isinstance(source.get("path"), str):
            self.local.append(source["path"])
            return []
        if source.get("workspace") is True:
            self.members.append(name)
            return []
        if "git" in source or "url" in source:
            text = f"{name} @ git+{source.get('git') or source.get('url')}"
        return [requirement(text, self.file, field)]

    def _poetry(self, items: dict[str, Any], field: str, *, optional: bool = False) -> list[Requirement]:
        found = []
        for name, given in list(items.items())[:2000]:
            if normal(name) == "python":
                continue
            # A list has a version for each platform or Python: any version then.
            value = {"version": given} if isinstance(given, str) else {} if isinstance(given, list) else given
            if not isinstance(value, dict) or (value.get("optional") is True and not optional):
                continue
            if isinstance(value.get("path"), str):
                self.local.append(value["path"])
                continue
            if "git" in value or "url" in value:
                text = f"{name} @ git+{value.get('git') or value.get('url')}"
                if field == "tool.poetry.dependencies":
                    requirement(text, self.file, f"{field}.{name}")
                self.notes.append(f"Left out: `{name}` ({field} of {self.file}), which is in no registry.")
                continue
            extras = ",".join(texts(value.get("extras")))
            markers = [str(value["markers"])] if isinstance(value.get("markers"), str) else []
            markers += _python_marker(value.get("python"))
            text = f"{name}{f'[{extras}]' if extras else ''}{poetry_specifier(str(value.get('version', '*')))}"
            text += f" ; {' and '.join(f'({marker})' for marker in markers)}" if markers else ""
            found.append(requirement(text, self.file, f"{field}.{name}"))
        return found


def _python_marker(value: object) -> Iterator[str]:
    if isinstance(value, str) and (specifier := poetry_specifier(value)):
        for part in specifier.split(","):
            if found := re.fullmatch(r"([<>=!~]+)([\d.*]+)", part.strip()):
                yield f"python_version {found[1]} '{found[2]}'"


def poetry_specifier(text: str) -> str:
    """A version constraint of poetry as a PEP 440 specifier; empty for any version, or when it has alternatives.

    https://python-poetry.org/docs/dependency-specification/"""
    if "|" in text:
        return ""
    parts = []
    for part in re.split(r"\s*,\s*|\s+(?=[<>=!~^])", text.strip()):
        found = re.fullmatch(r"(\^|~=|~|[<>=!]=?)?\s*v?([\w.*+!-]+)", part)
        if found is None or part == "*":
            continue
        operator, version = found[1] or "", found[2]
        if operator in ("^", "~"):
            parts += _range(operator, version)
        elif operator in ("", "="):
            parts.append(f"=={version}")
        else:
            parts.append(f"{operator}{version}")
    return ",".join(parts)


def _range(operator: str, version: str) -> list[str]:
    numbers = [int(number) for number in re.findall(r"\d+", re.split(r"[a-zA-Z+-]", version)[0])]
    if not numbers:
        return []
    if operator == "~":
        kept = 1 if len(numbers) == 1 else 2
    else:
        kept = next((place + 1 for place, number in enumerate(numbers) if number), len(numbers))
    upper = [*numbers[: kept - 1], numbers[kept - 1] + 1]
    return [f">={version}", f"<{'.'.join(map(str, upper))}"]
