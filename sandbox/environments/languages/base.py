"""What all environments with one toolchain start from: an entry of its own in the cache, without code of a repository,
so that teams and branches share it. Its files become hard links, which take no more room."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from core.archives import ArchiveRefused
from sandbox import backends
from sandbox.cached_folders import make_folder
from sandbox.environments.store import Entry, Store, StoreBusy
from sandbox.protocol import Sandbox

from .protocol import Base, BuildFailed, Language, Needs, Toolchain
from .steps import Build

_FORMAT = 1


def start_from_base(
    language: Language,
    needs: Needs,
    toolchain: Toolchain,
    packages: Path,
    sandbox: Sandbox,
    store: Store,
    until: float,
    progress: Callable[[str], object],
) -> list[str]:
    """Adds to a new environment's folder `packages` what its language's environments start from. Returns notes: why it
    could not, which only makes the build slower."""
    base = language.base(needs)
    if base is None:
        return []
    variables = {**toolchain.variables, **language.variables(needs)}
    facts = [
        _FORMAT,
        language.name,
        toolchain.version,
        variables,
        platform.machine(),
        platform.libc_ver(),
        asdict(base),
    ]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    entry: Entry | None = None
    try:
        for _ in range(3):  # one that was just made may be evicted by others before it is held
            if (entry := store.get(key)) is not None:
                break
            with store.making(key, until - time.monotonic()) as made:
                if isinstance(made, Entry):
                    entry = made
                    break
                progress(f"building what {language.title} {toolchain.version} itself provides (once on this machine)")
                store.publish(key, made, _make(base, made, language, toolchain, variables, sandbox, until))
        if entry is None:
            return [f"No room to keep what {language.title} itself provides; raise the setting `environments_gib`."]
        shutil.copytree(entry.folder / "packages" / base.name, packages / base.name, symlinks=True,
                        copy_function=os.link)  # fmt: skip
    except (BuildFailed, StoreBusy, ArchiveRefused, OSError) as failure:
        shutil.rmtree(packages / base.name, ignore_errors=True)
        return [f"What {language.title} itself provides could not be built in advance ({str(failure)[:400]})."]
    finally:
        if entry is not None:
            entry.release()
    return []


def _quickest(sandbox: Sandbox) -> Sandbox:
    """bubblewrap where it works: many small processes take several times as long in gVisor, and nothing here comes from
    a repository or a registry."""
    return next((one for one in backends() if one.name == "bubblewrap" and one.available() is None), sandbox)


def _make(
    base: Base,
    made: Path,
    language: Language,
    toolchain: Toolchain,
    variables: dict[str, str],
    sandbox: Sandbox,
    until: float,
) -> dict[str, object]:
    began = time.monotonic()
    log: list[str] = []
    packages = made / "packages"
    make_folder(packages)
    with tempfile.TemporaryDirectory(prefix="penstock-base-") as scratch:
        root = Path(scratch)
        for path, text in base.files.items():
            (root / path).write_text(text)
        build = Build(_quickest(sandbox), root, packages, toolchain, variables, until, log, [])
        try:
            build.run(base.command, {})
            build.keep(base.path, base.name)
        finally:
            build.close()
    (made / "log.txt").write_text("\n\n".join(log)[-200_000:])
    return {
        "language": language.name,
        "toolchain": toolchain.version,
        "runner": "",
        "source": "the toolchain",
        "scope": "",
        "projects": [],
        "notes": [],
        "seconds": {"build": round(time.monotonic() - began, 3)},
        "made": time.time(),
    }
