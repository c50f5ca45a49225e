"""The Rust toolchains of this machine, and which of them a repository asks for. None is downloaded, and rustup's
proxies, which would do that, are never run."""

import functools
import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Mount

from .cargo_manifests import joined, numbers
from .protocol import Needs, Toolchain
from .tree import SourceTree

_SECONDS = 20.0
_INSIDE = "/opt/penstock/rust"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_INSTALL = "Install it with `rustup toolchain install {}` (https://rustup.rs)"


@dataclass(frozen=True)
class Installed:
    """A toolchain: `root` holds `bin/cargo`; `version` is that of rustc, as in `1.75.0` or `1.97.0-nightly`."""

    root: Path
    version: str
    date: str
    host: str

    @property
    def channel(self) -> str:
        return self.version.partition("-")[2].partition(".")[0] or "stable"


def pinned(tree: SourceTree, folder: str) -> tuple[str, str]:
    """The channel that rustup would use in a folder, and the file that says so."""
    at = folder
    while True:
        for name in ("rust-toolchain.toml", "rust-toolchain"):
            path = joined(at, name)
            text = tree.text(path) if tree.exists(path) else None
            if text is None:
                continue
            try:
                table = tomllib.loads(text).get("toolchain")
                channel = table.get("channel") if isinstance(table, dict) else None
            except tomllib.TOMLDecodeError:
                channel = text.strip().partition("\n")[0]
            return (channel, path) if isinstance(channel, str) else ("", "")
        if not at:
            return "", ""
        at = at.rpartition("/")[0]


def choose(needs: Needs) -> Installed:
    """The toolchain for a repository. Raises `EnvironmentRefused`."""
    there = installed()
    pin, where = needs.facts["pin"]
    nightly = pin.startswith("nightly")
    wanted = pin if nightly else needs.version or pin
    if not there:
        raise EnvironmentRefused(f"Rust {wanted}".strip() + f" ({where or needs.version_from or needs.files[0]}), and "
                                 "there is no Rust toolchain on this machine",
                                 f"{_INSTALL.format(pin or 'stable')}, or the packages cargo and rustc.")  # fmt: skip
    exact = [one for one in there if pin and _is(one, pin)]
    fitting = [one for one in there if nightly == (one.channel == "nightly")]
    if not nightly and not fitting:
        fitting = list(there)
    best = max(exact or fitting, key=lambda one: (numbers(one.version), one.date), default=None)
    known = ", ".join(sorted({one.version for one in there}))
    if best is None:
        raise EnvironmentRefused(f"Rust {pin} ({where}), and this machine has {known}", f"{_INSTALL.format(pin)}.")
    least = max((needs.version, pin if re.fullmatch(r"[\d.]+", pin) else ""), key=numbers)
    if least and numbers(best.version) < numbers(least):
        place = needs.version_from if least == needs.version else where
        raise EnvironmentRefused(f"Rust {least} or newer ({place}), and this machine has {known}",
                                 f"{_INSTALL.format(least)}.")  # fmt: skip
    if shutil.which("cc", path=_PATH) is None:
        raise EnvironmentRefused("a linker, and there is no `cc` on this machine", "Install gcc or clang.")
    return best


def toolchain_for(needs: Needs) -> Toolchain:
    found = choose(needs)
    pin, where = needs.facts["pin"]
    notes: tuple[str, ...] = ()
    if pin and not _is(found, pin):
        notes = (f"{where} asks for Rust {pin}, which is not installed; Rust {found.version} is used.",)
    version = f"Rust {found.version}" + (f" of {found.date}" if found.channel != "stable" else "")
    if found.root.is_relative_to("/usr") and found.root in (Path("/usr"), Path("/usr/local")):
        return Toolchain(version, (), {"PATH": _PATH}, (), notes)
    mounts = (Mount(found.root, _INSIDE),)
    return Toolchain(version, mounts, {"PATH": f"{_INSIDE}/bin:{_PATH}"}, (found.root,), notes)


def _is(one: Installed, pin: str) -> bool:
    if re.fullmatch(r"\d+\.\d+", pin):
        return one.channel == "stable" and numbers(one.version)[:2] == numbers(pin)[:2]
    if re.fullmatch(r"\d+\.\d+\.\d+", pin):
        return one.version == pin
    return pin == one.channel or (pin.startswith("stable-") and one.channel == "stable")


@functools.cache
def installed() -> tuple[Installed, ...]:
    """All toolchains of rustup, of `PATH` and of the system's packages."""
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    places = [*sorted(rustup.glob("toolchains/*/bin")), *sorted(Path("/usr/lib").glob("rust-*/bin")),
              *(Path(part) for part in ("/usr/local/bin", "/usr/bin", *os.get_exec_path()))]  # fmt: skip
    found: dict[Path, Installed] = {}
    for place in places[:200]:
        if not place.is_absolute() or not (place / "cargo").is_file() or (place / "rustup").exists():
            continue
        root = place.parent.resolve()
        if root not in found and (one := _asked(root)) is not None:
            found[root] = one
    return tuple(found.values())


def _asked(root: Path) -> Installed | None:
    rustc = root / "bin" / "rustc"
    if "rustup" in rustc.resolve().name:
        return None
    try:
        done = subprocess.run([str(rustc), "-vV"], capture_output=True, text=True, check=True, timeout=_SECONDS,
                              cwd="/", env={"PATH": os.defpath, "HOME": "/nonexistent"})  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    facts = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    if not facts.get("release") or not facts.get("host"):
        return None
    return Installed(root, facts["release"], facts.get("commit-date", ""), facts["host"])
