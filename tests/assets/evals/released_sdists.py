"""A package registry in a folder, with source archives that tests build, some of them hostile."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assets.evals.harvest.releases import archive_hash

BEFORE = {
    "setup.py": (
        "import pathlib\nfrom setuptools import setup\n\n"
        "pathlib.Path.home().joinpath('was-built').write_text('yes')\nsetup()\n"
    ),
    "parcels/__init__.py": '"""Weights of parcels."""\n\n__version__ = "1.0"\n',
    "parcels/weights.py": (
        '"""Weights in grams."""\n\n\ndef total(parcels):\n    """The weight of all, 0 without any."""\n'
        "    weight = parcels[0]\n    for parcel in parcels[1:]:\n        weight += parcel\n    return weight\n\n\n"
        "def heaviest(parcels):\n    return max(parcels)\n"
    ),
    "tests/test_weights.py": (
        "from parcels.weights import heaviest, total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n\n\n"
        "def test_heaviest():\n    assert heaviest([1, 2]) == 2\n"
    ),
    "CHANGES.txt": "1.0: first release\n",
}
AFTER = {
    **BEFORE,
    "parcels/__init__.py": '"""Weights of parcels."""\n\n__version__ = "1.1"\n',
    "parcels/weights.py": BEFORE["parcels/weights.py"]
    .replace(
        "    weight = parcels[0]\n    for parcel in parcels[1:]:\n",
        "    weight = 0\n    for parcel in list(parcels):\n",
    )
    .replace("    return max(parcels)\n", "    return max(parcels, default=None)\n"),
    "tests/test_weights.py": BEFORE["tests/test_weights.py"]
    + "\n\ndef test_no_parcel_weighs_nothing():\n    assert total([]) == 0\n\n\n"
    "def test_none_is_heaviest():\n    assert heaviest([]) is None\n",
    "CHANGES.txt": "1.1: the total of no parcels is 0\n1.0: first release\n",
}
WRONG = "tests/test_weights.py::test_no_parcel_weighs_nothing"
OTHER = "tests/test_weights.py::test_none_is_heaviest"


class Registry:
    """A folder of archives in which pip looks instead of the network."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def put(self, version: str, files: Mapping[str, str | bytes], name: str = "parcels") -> str:
        """Adds a release, and returns the SHA-256 of its archive."""
        held = {f"{name}-{version}/{path}": content for path, content in files.items()}
        return self.put_raw(version, [_file(path, content) for path, content in held.items()], name)

    def put_raw(self, version: str, members: list[tuple[tarfile.TarInfo, bytes]], name: str = "parcels") -> str:
        path = self.folder / f"{name}-{version}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for info, content in members:
                archive.addfile(info, io.BytesIO(content))
        return archive_hash(path)


def _file(path: str, content: str | bytes) -> tuple[tarfile.TarInfo, bytes]:
    raw = content.encode() if isinstance(content, str) else content
    info = tarfile.TarInfo(path)
    info.size = len(raw)
    return info, raw


def link(path: str, goal: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, goal
    return info, b""


def case_of(registry: Registry, **changes: Any) -> dict[str, Any]:
    """The `case.json` of a sound case over both releases."""
    before, after = registry.put("1.0", BEFORE), registry.put("1.1", AFTER)
    return {
        "id": "parcels-none", "bug_class": "empty-input", "family": "guard", "split": "dev", "package": "parcels",
        "licence": "MIT", "before": {"version": "1.0", "sha256": before}, "after": {"version": "1.1", "sha256": after},
        "changelog": "the total of no parcels is 0",
        "fix": [{"path": "parcels/weights.py", "start": 5, "end": 7}],
        "fails": [WRONG], "keeps": ["tests/test_weights.py"], "left_out": [OTHER], "created": "2026-11-21",
    } | changes  # fmt: skip


def write_case(
    root: Path, case: dict[str, Any], issue: str = "Nothing to send\n\n`total` breaks without parcels.\n"
) -> Path:
    """Writes a case into a set that has a manifest."""
    folder = root / "cases" / str(case["id"])
    folder.mkdir(parents=True)
    (folder / "case.json").write_text(json.dumps(case))
    (folder / "issue.md").write_text(issue)
    manifest = {
        "name": root.name, "kind": "released", "title": "Toy", "licence": "Apache-2.0", "origin": "made up",
        "splits": ["dev", "check"],
        "metrics": [{"name": "success", "kind": "rate", "better": "higher", "margin": 0.1, "role": "primary"}],
    }  # fmt: skip
    (root / "set.json").write_text(json.dumps(manifest))
    (root / "version").write_text("1.0.0\n")
    (root / "card.md").write_text("# Toy\n")
    return folder
