"""`penstock env`: the environments that repositories' tests run in."""

import contextlib
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.counts import counted
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assets.executions.repository.checkout import Checkout
    from core.work import Packages
    from sandbox.environments.languages import Language, Needs
    from sandbox.environments.store import Store

environments = typer.Typer(
    name="env", help="Environments of repositories: what their tests need.", no_args_is_help=True
)
Repo = Annotated[Path, typer.Option(help="The git repository; its HEAD counts.", exists=True, file_okay=False)]


@environments.command()
def explain(repo: Repo, as_json: AsJson = False) -> None:
    """Say what the tests of a repository need, and which file says so. Builds and fetches nothing."""
    from assets.executions.repository.environment import wanted_by
    from assets.executions.repository.languages import chosen_language, without_tests
    from assets.executions.repository.services import described_services
    from assets.executions.repository.test_command import NoTests, detect
    from core.settings import load_settings
    from sandbox.environments.interpreters import choose

    with _refusals(), _checkout(repo) as checkout:
        cache = load_settings().cache
        chosen, notes = chosen_language(checkout)
        services, said = described_services(checkout)
        if chosen is not None:
            _explain_language(chosen[0], chosen[1], (*notes, *said), services, as_json)
            return
        wanted = wanted_by(checkout, cache)
        if wanted is None:
            if as_json:
                data({"services": services, "notes": said} if services or said else None)
                return
            other = without_tests(checkout)
            what = "no packages" if services else "nothing"
            line(
                other or f"The repository declares {what}: its tests run with the packages of Penstock's installation."
            )
            _services(services)
            for text in said:
                line(text)
            return
        interpreter = choose(wanted, cache)
        try:
            command = shlex.join(detect(checkout.root, checkout.settings.test).shown)
        except NoTests as reason:
            command = str(reason)
    rows = [(item.text, item.place, group.name) for group in wanted.groups for item in group.requirements]
    if as_json:
        data({
            "language": "python", "wanted": wanted.python, "wanted_by": wanted.python_from,
            "toolchain": str(interpreter.release), "interpreter": str(interpreter.path),
            "lock": wanted.lock.file if wanted.lock else None, "tests": command,
            "projects": [project.folder or "." for project in wanted.projects],
            "requirements": [{"requirement": r, "declared_in": p, "group": g} for r, p, g in rows],
            "services": services, "notes": [*wanted.notes, *said],
        })  # fmt: skip
        return
    line(f"Python:    {wanted.python or 'any'}{f' ({wanted.python_from})' if wanted.python_from else ''}: "
         f"{interpreter.release}, {interpreter.path}")  # fmt: skip
    for project in wanted.projects:
        line(f"installs:  {project.name or project.folder or '.'}, built by {project.backend}")
    line(f"versions:  {wanted.lock.file if wanted.lock else 'the newest that fit'}")
    line(f"tests:     {command}")
    _services(services)
    table(["requirement", "declared in", "for"], [list(row) for row in rows], empty="No requirements.")
    for text in (*wanted.notes, *said):
        line(text)


@environments.command()
def build(repo: Repo, as_json: AsJson = False) -> None:
    """Make the environment of a repository, or find it in the cache. Exit code 1 if it cannot be made."""
    from assets.executions.repository.environment import environment_options, open_environment, packages_of
    from assets.executions.repository.languages import chosen_language, language_packages, open_language
    from assets.executions.repository.services import services_of
    from core.settings import load_settings
    from sandbox import open_sandbox

    settings = load_settings()
    with _refusals(), _checkout(repo) as checkout, Progress(quiet=as_json) as step:
        options = environment_options(settings, str(repo.resolve()), checkout)
        if options is None:
            raise CommandFailed("the setting `environments` is shared: tests run with the packages of Penstock")
        sandbox = open_sandbox(settings.sandbox)
        chosen, notes = chosen_language(checkout)
        if chosen is not None:
            native = open_language(chosen, sandbox, options, step)
            native.close()
            facts = native.entry.facts
            services = services_of(checkout, sandbox, options, step)
            services.close()
            notes = (*notes, *facts["notes"], *services.notes)
            _built(language_packages(native), facts, notes, services.labels, as_json)
            return
        made, notes = open_environment(checkout, sandbox, options, step)
        services = services_of(checkout, sandbox, options, step)
        services.close()
        notes = (*notes, *services.notes)
    if made is None:
        if as_json:
            data({"services": services.labels, "notes": notes} if services.labels or notes else None)
            return
        line("The tests run with the packages of Penstock's installation.")
        _services(services.labels)
        for text in notes:
            line(text)
        return
    found = packages_of(made)
    made.close()
    _built(found, made.entry.facts, notes, services.labels, as_json)


def _built(
    found: "Packages", facts: dict[str, Any], notes: "Sequence[str]", services: "Sequence[str]", as_json: bool
) -> None:
    if as_json:
        data({
            **found.model_dump(mode="json", exclude={"python"}), "language": facts.get("language", "python"),
            "toolchain": facts.get("toolchain", found.python), "projects": [one or "." for one in found.projects],
            "services": services, "notes": list(notes), "bytes": facts["bytes"],
        })  # fmt: skip
        return
    what = found.language or f"Python {found.python}, {len(found.versions)} packages"
    line(f"{'found in the cache' if found.cached else 'made'} in {found.seconds:.2f} s: {found.key}, {what}, "
         f"{facts['bytes'] >> 20} MiB")  # fmt: skip
    _services(services)
    for text in notes:
        line(text)


def _services(labels: "Sequence[str]") -> None:
    if labels:
        line(f"services:  {', '.join(labels)}")


def _explain_language(
    language: "Language", needs: "Needs", notes: "Sequence[str]", services: "Sequence[str]", as_json: bool
) -> None:
    from assets.executions.repository.languages import label

    toolchain = language.toolchain(needs)
    notes = (*notes, *needs.notes)
    if as_json:
        data({
            "language": language.name, "wanted": needs.version, "wanted_by": needs.version_from,
            "toolchain": toolchain.version, "runner": needs.runner, "files": list(needs.files),
            "projects": [folder or "." for folder in needs.folders], "services": list(services), "notes": list(notes),
        })  # fmt: skip
        return
    least = f"{needs.version} or newer" if needs.version[:1].isdigit() else needs.version
    wanted = f"{least}, by {needs.version_from}" if needs.version else "any"
    line(f"{language.title + ':':<10} {wanted}: {label(language, toolchain)}")
    line(f"projects:  {', '.join(folder or '.' for folder in needs.folders)}")
    line(f"declared:  {needs.source}")
    line(f"runner:    {needs.runner}")
    _services(services)
    for text in notes:
        line(text)


@environments.command()
def test(
    repo: Repo,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="Time limit for the tests, in seconds.")] = 600,
    command: Annotated[str | None, typer.Option("--test", help="The test command; by default it is found.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the tests of a repository in its environment, as a task does first. Exit code 1 unless all end and pass."""
    from assets.executions.attempt.suite import run_suite
    from assets.executions.repository.environment import environment_options
    from assets.executions.repository.test_command import NoTests
    from assets.executions.trial.worker_client import WorkerDied
    from core.settings import load_settings
    from sandbox import open_sandbox
    from sandbox.reports.results import is_test

    settings = load_settings()
    with _refusals(), _checkout(repo) as checkout, Progress(quiet=as_json) as step:
        options = environment_options(settings, str(repo.resolve()), checkout)
        given = command or checkout.settings.test
        try:
            # A suite gets not quite half of an attempt's time.
            result = run_suite(checkout, open_sandbox(settings.sandbox), options, seconds / 0.45, given, step)
        except (NoTests, WorkerDied) as error:
            raise CommandFailed(str(error)) from error
    run = result.baseline.run
    counts = dict(Counter(outcome.value for test, outcome in run.outcomes.items()
                          if is_test(test) or outcome not in ("passed", "skipped")))  # fmt: skip
    bad = [test for test, outcome in run.outcomes.items() if outcome in ("failed", "error")]
    places = {t: found[0].frames[-1] for t, found in result.baseline.failures.items() if found and found[0].frames}
    if as_json:
        data({
            "command": list(result.command), "counts": counts, "outcomes": run.outcomes, "failures": run.failures,
            "places": {t: {"path": p, "line": n} for t, (p, n, _) in places.items()}, "notes": list(result.notes),
            "packages": result.packages.model_dump(mode="json") if result.packages else None,
            "services": result.services,
            "environment_seconds": round(result.environment_seconds, 3),
            "suite_seconds": round(result.suite_seconds, 3),
        })  # fmt: skip
    else:
        for test in bad[:50]:
            place = places.get(test)
            line(f"{run.outcomes[test].value:<7} {test}{f' ({place[0]}:{place[1]})' if place else ''}")
            found = result.baseline.failures.get(test)
            said = [
                part for part in (found[0].message if found else "").splitlines() if not part.lstrip().startswith("at ")
            ]
            line(f"        {' '.join(' '.join(said).split())[:240]}")
        if len(bad) > 50:
            line(f"({len(bad) - 50} more)")
        shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no tests"
        line(f"{shown} in {result.suite_seconds:.1f} s, environment {result.environment_seconds:.1f} s: "
             f"{shlex.join(result.command)}")  # fmt: skip
        _services(result.services)
        for text in result.notes:
            line(text)
    if bad or not run.complete:
        raise typer.Exit(1)


@environments.command()
def show(
    key: Annotated[str | None, typer.Argument(help="The key of one environment; without it, all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the environments in the cache, or show one with its packages and the log of its builds."""
    store = _store()
    rows = sorted(store.entries(), key=lambda row: -row["used"])
    if key is not None:
        rows = [row for row in rows if row["key"].startswith(key)]
        if len(rows) != 1:
            raise CommandFailed(
                f"{len(rows)} environments have a key that begins with {key!r}: `penstock env show` lists them"
            )
    if as_json:
        data(rows if key is None else rows[0])
        return
    if key is None:
        table(["key", "of", "with", "packages", "MiB", "used"], [_shown(row) for row in rows],
              empty="No environment is in the cache.")  # fmt: skip
        return
    row = rows[0]
    for name in (
        "key",
        "scope",
        "language",
        "toolchain",
        "runner",
        "python",
        "interpreter",
        "services",
        "source",
        "before",
        "projects",
        "left_out",
        "seconds",
        "notes",
    ):
        if name in row:
            line(f"{name}: {row[name]}")
    line("\n".join(row.get("packages", ())))
    log = store.folder / row["key"] / "log.txt"
    if log.is_file():
        line(f"\n{log.read_text(errors='replace')[-20_000:]}")


@environments.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove all that are not in use.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove environments above the setting `environments_gib`, the least recently used first."""
    store = _store()
    with Progress(quiet=as_json) as step:
        step("removing environments")
        removed = store.evict(0 if everything else store.most_bytes)
    if as_json:
        data(removed)
    else:
        line(f"{counted(len(removed), 'environment')} removed")


def _shown(row: dict[str, Any]) -> list[str]:
    from datetime import UTC, datetime

    used = datetime.fromtimestamp(row["used"], UTC).strftime("%Y-%m-%d %H:%M")
    if "services" in row:
        return [row["key"][:12], str(row.get("scope", "")), ", ".join(row["services"]), "",
                f"{row['bytes'] / (1 << 20):.0f}", used]  # fmt: skip
    tools = f"{row['language']} {row['toolchain']}" if "language" in row else f"python {row.get('python', '')}"
    count = str(len(row["packages"])) if "packages" in row else ""
    return [row["key"][:12], str(row.get("scope", "")), tools, count,
            f"{row['bytes'] / (1 << 20):.0f}", used]  # fmt: skip


def _store() -> "Store":
    from core.settings import load_settings
    from sandbox.environments.store import Store

    settings = load_settings()
    return Store(settings.cache / "environments", int(settings.environments_gib * (1 << 30)))


@contextlib.contextmanager
def _checkout(repo: Path) -> "Iterator[Checkout]":
    """The files of the repository's HEAD, in a folder for the time of the command."""
    import tempfile

    from assets.executions.repository.checkout import open_checkout
    from assets.executions.repository.settings import FILE_NAME, MAX_BYTES
    from sandbox.confined_files import read_confined

    def settings(root: Path) -> bytes | None:
        with contextlib.suppress(OSError, ValueError):
            return read_confined(root, FILE_NAME, MAX_BYTES)
        return None

    with tempfile.TemporaryDirectory(prefix="penstock-env-") as scratch:
        checkout = open_checkout(repo.resolve(), "HEAD", Path(scratch) / "checkout")
        if settings(repo) != settings(checkout.root):
            note(f"{FILE_NAME} has changes that are not committed; what HEAD has counts.")
        yield checkout


@contextlib.contextmanager
def _refusals() -> "Iterator[None]":
    """Turns what is wrong with a repository's declarations into one line."""
    from assets.executions.repository.settings import RepositorySettingsError
    from sandbox.environments.wanted import EnvironmentRefused

    try:
        yield
    except (EnvironmentRefused, RepositorySettingsError) as error:
        raise CommandFailed(str(error)) from error
