"""Makes the environment of a repository in another language than Python, or takes it from the cache."""

import hashlib
import json
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.cached_folders import make_folder
from sandbox.environments.egress import allowed_hosts
from sandbox.environments.fetching import Fetching
from sandbox.environments.prepare import Options, RegistryUnreachable
from sandbox.environments.store import Entry
from sandbox.environments.wanted import EnvironmentRefused, FetchFailed
from sandbox.protocol import Mount, Sandbox

from .base import start_from_base
from .protocol import INSIDE, BuildFailed, Language, Needs, PackagesMissing, Toolchain
from .steps import Build, Fetch
from .tree import SourceTree

_FORMAT = 2
"""Part of every key: raised when an environment is made in another way than before."""
_MOST_PACKAGES = 1 << 30
"""Bytes of what is fetched."""
_MOST_ROUNDS = 12
"""How often packages are fetched for one environment, once what was declared is there."""


@dataclass
class LanguageEnvironment:
    """An environment in the cache, kept there until `close`, and what its tests need."""

    entry: Entry
    language: Language
    needs: Needs
    toolchain: Toolchain
    tree: SourceTree
    cached: bool
    seconds: float

    @property
    def mounts(self) -> tuple[Mount, ...]:
        return (*self.toolchain.mounts, Mount(self.entry.folder / "packages", INSIDE))

    @property
    def variables(self) -> Mapping[str, str]:
        return {**self.toolchain.variables, **self.language.variables(self.needs)}

    def close(self) -> None:
        self.entry.release()


def prepare_language(
    language: Language,
    needs: Needs,
    tree: SourceTree,
    sandbox: Sandbox,
    options: Options,
    progress: Callable[[str], object] = str,
) -> LanguageEnvironment:
    """The environment that `needs` asks for. `progress` is told each step.

    Raises `EnvironmentRefused` when it cannot be made as it is declared, `RegistryUnreachable`, `StoreBusy` and
    `SandboxUnavailable`."""
    began = time.monotonic()
    toolchain = language.toolchain(needs)
    key = _key(needs, toolchain, tree, options)
    store = options.store

    def environment(entry: Entry, cached: bool) -> LanguageEnvironment:
        return LanguageEnvironment(entry, language, needs, toolchain, tree, cached, time.monotonic() - began)

    for _ in range(3):  # one that was just made may be evicted by others before it is held
        if (entry := store.get(key)) is not None:
            made_at = float(entry.facts.get("made", 0))
            return environment(entry, made_at < time.time() - (time.monotonic() - began))
        with store.making(key, options.seconds) as made:
            if isinstance(made, Entry):
                return environment(made, True)
            facts = _make(made, language, needs, toolchain, tree, sandbox, options, progress)
            store.publish(key, made, facts)
    raise EnvironmentRefused("room for its environment", "Raise the setting `environments_gib`.")


def _key(needs: Needs, toolchain: Toolchain, tree: SourceTree, options: Options) -> str:
    digest = hashlib.sha256()
    registry = options.registries.get(needs.language, "")
    facts = [_FORMAT, options.scope, registry, toolchain.version, toolchain.variables, platform.machine(),
             platform.libc_ver(), needs.language, needs.runner, needs.folders, dict(needs.facts)]  # fmt: skip
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for path in sorted(needs.files):
        digest.update(f"\0{path}\0".encode() + hashlib.sha256(tree.content(path) or b"").digest())
    return digest.hexdigest()[:32]


def _make(
    made: Path,
    language: Language,
    needs: Needs,
    toolchain: Toolchain,
    tree: SourceTree,
    sandbox: Sandbox,
    options: Options,
    progress: Callable[[str], object],
) -> dict[str, object]:
    until = time.monotonic() + options.seconds
    seconds: dict[str, float] = {}
    notes = [*needs.notes, *toolchain.notes]
    log: list[str] = []
    packages = made / "packages"
    make_folder(packages)
    registry = language.registry(options.registries.get(language.name, ""))
    fetching = Fetching(allowed_hosts(registry.address, (*registry.hosts, *options.hosts)), options.served)
    with tempfile.TemporaryDirectory(prefix="penstock-fetch-") as scratch:
        folder = Path(scratch) / "declarations"
        _copy_declarations(needs, tree, folder)
        step = Fetch(fetching, folder, packages, toolchain, registry, until, log)
        for again in range(_MOST_ROUNDS + 1):
            began = time.monotonic()
            progress(f"fetching {language.title} packages" + (f" that its build needs ({again})" if again else ""))
            _fetch(language, needs, step)
            seconds["fetch"] = round(seconds.get("fetch", 0) + time.monotonic() - began, 3)
            began = time.monotonic()
            if not again:
                notes += start_from_base(language, needs, toolchain, packages, sandbox, options.store, until, progress)
                seconds["base"] = round(time.monotonic() - began, 3)
                began = time.monotonic()
            progress(f"building for {language.title} with {toolchain.version}")
            try:
                _build(language, needs, toolchain, sandbox, tree.root, packages, until, log, notes)
            except PackagesMissing as missing:
                if again < _MOST_ROUNDS and not set(missing.wanted) <= set(step.wanted):
                    step.wanted = missing.wanted
                    continue
                if missing.needed:
                    raise EnvironmentRefused(
                        f"{language.title} packages that its registry does not have ({str(missing)[:400]})",
                        f"Name others in {needs.source}, or a registry that has them for {language.name} in the "
                        "setting `registries`.",
                    ) from missing
                notes.append(f"Its build needs packages that the registry does not have: {str(missing)[:400]}.")
            finally:
                seconds["build"] = round(seconds.get("build", 0) + time.monotonic() - began, 3)
            break
    places = Counter(f"{one.host}:{one.port} {one.why or 'allowed'}" for one in fetching.decisions)
    log.append("\n".join(["# connections", *(f"{n} to {place}" for place, n in sorted(places.items()))]))
    (made / "log.txt").write_text("\n\n".join(log)[-200_000:])
    return {
        "language": language.name,
        "toolchain": toolchain.version,
        "runner": needs.runner,
        "source": needs.source,
        "scope": options.scope,
        "projects": [folder or "." for folder in needs.folders],
        "notes": list(dict.fromkeys(notes)),
        "seconds": seconds,
        "made": time.time(),
    }


def _fetch(language: Language, needs: Needs, step: Fetch) -> None:
    try:
        language.fetch(needs, step)
    except FetchFailed as failure:
        if failure.unreachable:
            raise RegistryUnreachable(
                f"{language.title} packages of a registry that cannot be reached ({failure})",
                f"Let Penstock's machine reach it, or name one for {language.name} in the setting `registries`.",
            ) from failure
        raise EnvironmentRefused(
            f"{language.title} packages that cannot be fetched ({str(failure).rstrip('.')})",
            f"Repair {needs.files[0] if needs.files else 'its declarations'}, or name the tests with `test` in "
            "penstock.toml.",
        ) from failure
    size = sum(path.lstat().st_size for path in step.made.rglob("*") if path.is_file())
    if size > _MOST_PACKAGES:
        raise EnvironmentRefused(f"{size / (1 << 30):.1f} GiB of packages, and at most 1 GiB is allowed",
                                 f"Declare fewer in {needs.source}.")  # fmt: skip


def _copy_declarations(needs: Needs, tree: SourceTree, into: Path) -> None:
    """The declarations alone: programs that fetch see nothing else of the repository."""
    make_folder(into)
    for folder in needs.folders:
        make_folder(into / folder)
    for path in needs.files:
        content = tree.content(path)
        if content is not None:
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            (into / path).write_bytes(content)


def _build(
    language: Language,
    needs: Needs,
    toolchain: Toolchain,
    sandbox: Sandbox,
    root: Path,
    packages: Path,
    until: float,
    log: list[str],
    notes: list[str],
) -> None:
    try:
        build = Build(sandbox, root, packages, toolchain, language.variables(needs), until, log, notes)
        try:
            for command in language.prepare(needs):
                build.run(command, {})
            language.build(needs, build)
        finally:
            build.close()
    except BuildFailed as failure:
        notes.append(f"Building it in advance failed, so each run of its tests builds it ({str(failure)[:400]}).")
