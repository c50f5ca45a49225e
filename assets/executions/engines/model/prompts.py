"""The prompts of the engine `model`: files in a folder for each version, identified by the hash of their content.

A prompt that has been used is not edited: a new version is a new folder, so that evals can compare the two.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

_FOLDER = Path(__file__).parent / "prompts"
_NAMES = ("system", "task", "nudge")
ANY_LANGUAGE = "v3"
"""The version that is used for a program in another language than Python, where the chosen one is about Python."""


class UnknownPrompts(ValueError):
    """The prompts have no such version."""


@dataclass(frozen=True)
class Prompts:
    """One version. `hashes` maps `VERSION/NAME` to the SHA-256 of the file."""

    version: str
    texts: dict[str, str]
    hashes: dict[str, str]

    @property
    def any_language(self) -> bool:
        return "$language" in self.texts["system"]

    def fill(self, name: str, **values: str) -> str:
        """A prompt with its placeholders replaced; placeholders inside `values` are not."""
        return Template(self.texts[name]).substitute(values)


def prompt_versions() -> list[str]:
    """All versions, sorted."""
    return sorted(path.name for path in _FOLDER.iterdir() if path.is_dir())


def load_prompts(version: str) -> Prompts:
    """The prompts of one version. Raises `UnknownPrompts`, which names the known versions."""
    known = prompt_versions()
    if version not in known:
        raise UnknownPrompts(f"there are no prompts {version!r}; known: {', '.join(known)}")
    return read_prompts(_FOLDER / version, _NAMES, version)


def read_prompts(folder: Path, names: tuple[str, ...], label: str) -> Prompts:
    """The files NAME.md of a folder; `label` stands for it in their hashes."""
    contents = {name: (folder / f"{name}.md").read_bytes() for name in names}
    return Prompts(
        label,
        {name: content.decode() for name, content in contents.items()},
        {f"{label}/{name}": hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )


def data(label: str, text: str) -> str:
    """Untrusted text between tags that it cannot contain itself, since they are made from its hash."""
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:10]
    return f"<data-{mark} {re.sub(r'[^a-z ]', '', label)}>\n{text}\n</data-{mark}>"
