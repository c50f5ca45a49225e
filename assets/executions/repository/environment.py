"""The environment that a repository's tests run in: its own where it declares one, else that of Penstock.

Between the repository's settings and `sandbox.environments`, which finds, fetches and builds.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from assets.executions.repository.checkout import Checkout
from assets.executions.repository.installed import Installed, beside_penstock, in_environment, normal
from core.settings import Settings
from core.work import Packages
from sandbox.confined_files import read_confined
from sandbox.environments.find import find
from sandbox.environments.prepare import Options, RegistryUnreachable, TestEnvironment, prepare, remember
from sandbox.environments.registry import configured_index
from sandbox.environments.store import StoreBusy
from sandbox.environments.wanted import Declaration, Wanted
from sandbox.protocol import Sandbox, SandboxUnavailable


def wanted_by(checkout: Checkout, cache: Path) -> Wanted | None:
    """What the tests of a checkout need; None when it declares nothing. `cache` is Penstock's. Raises
    `EnvironmentRefused`."""
    declared = checkout.settings.environment
    return find(checkout.root, Declaration(**declared.model_dump(exclude={"language"})), cache / "locks")


def open_environment(
    checkout: Checkout, sandbox: Sandbox, options: Options, progress: Callable[[str], object] = str
) -> tuple[TestEnvironment | None, tuple[str, ...]]:
    """The environment of a checkout, and notes about it. None, for Penstock's own packages, when the repository
    declares nothing, or when the package index cannot be reached and they satisfy what it declares.

    Raises `EnvironmentRefused`, whose message says what is missing and what to do, and `SandboxUnavailable`."""
    wanted = wanted_by(checkout, options.cache)
    if wanted is None:
        return None, ()
    needs_packages = wanted.groups or wanted.projects or wanted.lock or checkout.settings.environment.python
    if not needs_packages and _satisfied(wanted, beside_penstock()):
        return None, ()
    try:
        made = prepare(checkout.root, wanted, sandbox, options, progress)
    except StoreBusy as busy:
        raise SandboxUnavailable(str(busy)) from busy
    except RegistryUnreachable:
        if not _satisfied(wanted, beside_penstock()):
            raise
        return None, ("The package index cannot be reached; the tests ran with Penstock's own packages, which satisfy "
                      "what the project declares.",)  # fmt: skip
    return made, tuple(made.entry.facts.get("notes", ()))


def has_lock(checkout: Checkout, options: Options) -> bool:
    """Whether a lock file chooses the versions."""
    wanted = wanted_by(checkout, options.cache)
    return wanted is not None and wanted.lock is not None


def remember_choice(checkout: Checkout, options: Options) -> None:
    """From now on, the versions of `options.before` are used for what this checkout declares."""
    wanted = wanted_by(checkout, options.cache)
    if wanted is not None:
        remember(checkout.root, wanted, options)


def installed_in(environment: TestEnvironment | None) -> Installed | None:
    """What the tests are run with; None for what is beside Penstock."""
    if environment is None:
        return None
    return in_environment(environment.site_packages, str(environment.entry.facts["python"]))


def packages_of(environment: TestEnvironment) -> Packages:
    """An environment as evidence."""
    facts = environment.entry.facts
    return Packages(
        python=facts["python"],
        source=facts["source"],
        before=facts["before"],
        versions=tuple(facts["packages"]),
        projects=tuple(facts["projects"]),
        key=environment.entry.folder.name,
        cached=environment.cached,
        seconds=round(environment.seconds, 3),
    )


def _satisfied(wanted: Wanted, installed: Installed) -> bool:
    """Whether everything that is needed is installed, in a version that fits."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    with suppress(InvalidRequirement, InvalidSpecifier):
        if wanted.python and not SpecifierSet(wanted.python).contains(installed.python):
            return False
        for item in (item for group in wanted.groups if group.needed for item in group.requirements):
            parsed = Requirement(item.text)
            if parsed.marker is not None and not parsed.marker.evaluate({"extra": ""}):
                continue
            version = installed.versions.get(normal(parsed.name))
            if version is None or not parsed.specifier.contains(version, prereleases=True):
                return False
        return True
    return False


def environment_options(settings: Settings, place: str, checkout: Checkout, task: str = "") -> Options | None:
    """How the environment of a checkout is made; None when the settings want Penstock's own packages. `place` names its
    team and source: with its branch, it says whose environment it is, and none is used for another. `task` is the id of
    the task that it is made for."""
    if settings.environments == "shared":
        return None
    return Options(
        cache=settings.cache,
        scope=f"{place}@{checkout.branch or checkout.commit}",
        index=configured_index(settings.package_index),
        hosts=settings.registry_hosts,
        task=task,
        most_bytes=int(settings.environments_gib * (1 << 30)),
        seconds=settings.environment_seconds,
        registries=settings.registries,
        version=_version(checkout),
    )


def _version(checkout: Checkout) -> str:
    """The project's version for build backends that ask git for it: that of the newest tag, or of `PKG-INFO`."""
    from packaging.version import InvalidVersion, Version

    texts = [re.sub(r"^\D*", "", checkout.tag)]
    with suppress(OSError, ValueError):
        head = read_confined(checkout.root, "PKG-INFO", 1 << 20).decode(errors="replace")
        texts += re.findall(r"^Version: *(\S+)", head, re.MULTILINE)[:1]
    for text in texts:
        with suppress(InvalidVersion):
            return str(Version(text))
    return "0.0.0"
