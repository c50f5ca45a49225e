"""Chooses the version of every package, without running any code: from the metadata of wheels.

uv writes the result as a lock in the standard format (PEP 751), from which names, versions and hashes are read.
"""

import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .find.requirement_files import normal
from .interpreters import Interpreter
from .uv import Uv
from .wanted import EnvironmentRefused, FetchFailed, Lock

_SECONDS = 120.0
MOST_BYTES = 1 << 30
"""The most that all files of one environment may have, as they are downloaded."""


@dataclass(frozen=True)
class Pin:
    """A chosen version with the SHA-256 of its files; `size` in bytes of the largest; `sdist` is the address of its
    source distribution, empty if it was not looked for."""

    name: str
    version: str
    hashes: tuple[str, ...]
    size: int = 0
    sdist: str = ""
    published: str = ""
    """When its files were published (RFC 3339), where the index says so."""

    @property
    def text(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def line(self) -> str:
        """As a line of a requirements file, which makes the installer check the hashes."""
        return " ".join([self.text, *(f"--hash=sha256:{digest}" for digest in self.hashes)])


@dataclass(frozen=True)
class Resolver:
    """Resolves for one interpreter. `wheels` are local folders of wheels that were built here; with `before`, an
    RFC 3339 time, only files that had been published by then count."""

    uv: Uv
    interpreter: Interpreter
    wheels: tuple[Path, ...] = ()
    before: str = ""

    def resolve(
        self, requirements: Sequence[str], constraints: Sequence[str] = (), overrides: Sequence[str] = ()
    ) -> list[Pin]:
        """The pins of everything needed; `overrides` replace every requirement of the same package. Raises
        `FetchFailed`, or `EnvironmentRefused` for packages that are too large."""
        pins = self._compile(requirements, constraints, ["--no-build"], overrides)
        total = sum(pin.size for pin in pins)
        if total > MOST_BYTES:
            largest = max(pins, key=lambda pin: pin.size)
            raise EnvironmentRefused(
                f"{total >> 20} MiB of packages, more than {MOST_BYTES >> 20} MiB ({largest.text} alone has "
                f"{largest.size >> 20} MiB)",
                "List what the tests need without it under `[environment] requirements` in penstock.toml.",
            )
        return pins

    def source(self, requirement: str) -> Pin:
        """The pin of one package as a source distribution. Raises `FetchFailed`."""
        (pin,) = self._compile([requirement], (), ["--no-deps", "--no-binary", normal(requirement.split("=")[0])])
        if not pin.sdist:
            raise FetchFailed(f"{pin.text} has neither a wheel for this Python nor a source distribution")
        return pin

    def _compile(
        self, requirements: Sequence[str], constraints: Sequence[str], options: list[str], overrides: Sequence[str] = ()
    ) -> list[Pin]:
        with tempfile.TemporaryDirectory(prefix="penstock-resolve-") as scratch:
            folder = Path(scratch)
            (folder / "requirements.in").write_text("\n".join(requirements) + "\n")
            (folder / "constraints.in").write_text("\n".join(constraints) + "\n")
            (folder / "overrides.in").write_text("\n".join(overrides) + "\n")
            arguments = ["pip", "compile", "requirements.in", "--constraints", "constraints.in", "--quiet",
                         "--overrides", "overrides.in",
                         "--format", "pylock.toml", "--output-file", "pylock.toml", "--no-header", *options,
                         "--python", str(self.interpreter.path)]  # fmt: skip
            for wheels in self.wheels:
                arguments += ["--find-links", str(wheels)]
            if self.before:
                arguments += ["--exclude-newer", self.before]
            self.uv.run(arguments, _SECONDS, folder, self.interpreter, readable=self.wheels)
            return _pins((folder / "pylock.toml").read_text())


def _pins(text: str) -> list[Pin]:
    pins = []
    for package in tomllib.loads(text).get("packages", []):
        files = list(package.get("wheels", []))
        archive = package.get("archive") or {}
        sdist = package.get("sdist") or {}
        hashes = tuple(f["hashes"]["sha256"] for f in (files or [sdist]) if "sha256" in f.get("hashes", {}))
        size = max((int(f.get("size", 0)) for f in (*files, sdist, archive)), default=0)
        published = max((str(f["upload-time"]) for f in (*files, sdist) if "upload-time" in f), default="")
        version, address = str(package.get("version", "")), str(sdist.get("url", ""))
        pins.append(Pin(normal(package["name"]), version, hashes, size, address, published))
    return pins


def checked(pins: Sequence[Pin], lock: Lock | None) -> list[Pin]:
    """The pins, with the hashes that the lock file has too. Raises `EnvironmentRefused` when none of a package's files
    is the locked one, and for a package that the lock takes from elsewhere."""
    kept = []
    for pin in pins:
        if lock is not None and pin.name in lock.refused:
            raise EnvironmentRefused(f"`{pin.name}`, but {lock.refused[pin.name]}",
                                     "Name a released version of it under `[environment] requirements` in "
                                     "penstock.toml.")  # fmt: skip
        locked = lock.hashes.get(pin.text) if lock is not None else None
        same = tuple(digest for digest in pin.hashes if locked is None or digest in locked)
        if pin.hashes and not same:
            raise EnvironmentRefused(f"`{pin.text}`, whose files in the registry are not those that "
                                     f"{lock.file if lock else 'the lock'} has hashes of",
                                     "Check where the files come from, and renew the lock file.")  # fmt: skip
        kept.append(replace(pin, hashes=same))
    return kept
