"""`penstock sandbox`: tests the isolation of the sandbox by attacking it."""

from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, is_terminal, line, note, table

if TYPE_CHECKING:
    from sandbox.probing import ProbeResult
    from sandbox.protocol import Sandbox

sandboxes = typer.Typer(name="sandbox", help="Test the sandbox.", no_args_is_help=True)
_FETCH = "fetch"


@sandboxes.command()
def probe(
    backend: Annotated[
        str | None,
        typer.Option(
            help="gvisor, bubblewrap, or fetch (the step that fetches packages); by default all that work here."
        ),
    ] = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Show what each probe tried and met.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a page in Markdown, with evidence.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try to break out of the sandbox and to exceed each limit. Exit code 1 if any attempt succeeds.

    Nothing leaves this machine, and no attempt harms it if it succeeds. It takes about half a minute.
    """
    if as_json and as_markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    chosen = _chosen(backend)
    results = _probed(chosen, backend in (None, _FETCH), quiet=as_json or as_markdown)
    if not results:
        raise CommandFailed("no sandbox backend works on this machine; `penstock doctor` says what to install")
    if as_json:
        data([
            {"backend": r.backend, "family": r.family, "probe": r.probe, "attempt": r.attempt, "passed": r.passed,
             "outcome": r.outcome, "evidence": r.evidence}
            for r in results
        ])  # fmt: skip
    elif as_markdown:
        _print_page(results, chosen)
    else:
        _print_table(results, evidence)
    if any(r.passed is False for r in results):
        raise typer.Exit(1)


def _chosen(backend: str | None) -> "list[Sandbox]":
    from sandbox import BACKENDS, backends, open_sandbox

    if backend == _FETCH:
        return []
    if backend is not None:
        if backend not in BACKENDS:
            raise typer.BadParameter(f"{backend!r} is not one of {', '.join((*BACKENDS, _FETCH))}")
        return [open_sandbox(backend)]
    found = []
    for one in backends():
        problem = one.available()
        if problem is None:
            found.append(one)
        else:
            note(f"{one.name} is not probed: {problem}")
    return found


def _probed(chosen: "list[Sandbox]", fetch: bool, quiet: bool) -> "list[ProbeResult]":
    from sandbox.probing import FETCH, probe, probe_fetch_step
    from sandbox.protocol import SandboxUnavailable

    results = []
    with Progress(quiet=quiet) as step:
        for one in chosen:
            step(f"probing {one.name}")
            results += probe(one)
        if fetch:
            step(f"probing the {FETCH}")
            try:
                results += probe_fetch_step()
            except SandboxUnavailable as error:
                note(f"the {FETCH} is not probed: {error}")
    return results


def _print_page(results: "list[ProbeResult]", chosen: "list[Sandbox]") -> None:
    import os
    from datetime import UTC, datetime

    from sandbox.probing.matrix import markdown, version

    user = "as root" if os.geteuid() == 0 else "as an ordinary user"
    line(markdown(results, {one.name: version(one) for one in chosen}, user, datetime.now(UTC).date()).rstrip())


def _print_matrix(results: "list[ProbeResult]") -> None:
    from sandbox.probing.matrix import columns, families, word

    if not results:
        return
    backends = columns(results)
    rows = []
    for family, probes in families(results):
        for number, probe in enumerate(probes):
            cells = {one.backend: word(one) for one in probe}
            rows.append(["" if number else family, probe[0].probe, *(cells.get(one, "") for one in backends)])
    table(["family", "probe", *backends], rows, empty="")


def _print_table(results: "list[ProbeResult]", evidence: bool) -> None:
    """On a terminal a matrix, or with `evidence` one row for each result; elsewhere always the latter."""
    from sandbox.probing import FETCH, Outcome
    from sandbox.probing.matrix import columns, summary, word

    if evidence or not is_terminal():
        table(
            ["backend", "family", "probe", "result", "tried", "evidence"],
            [[r.backend, r.family, r.probe, word(r), r.attempt, r.evidence] for r in results],
            empty="",
        )
    else:
        _print_matrix([r for r in results if r.backend != FETCH])
        _print_matrix([r for r in results if r.backend == FETCH])
    for backend in columns(results):
        note(f"{backend}: {summary(results, backend)}")
    for r in results:
        if r.outcome is Outcome.BROKEN:
            note(f"BROKEN on {r.backend}: {r.family}, {r.probe} ({r.attempt}): {r.evidence}")
    lacking = {f"{r.probe}: {r.evidence}" for r in results if r.outcome is Outcome.NOT_APPLICABLE}
    for reason in sorted(lacking):
        note(f"not applicable: {reason}")
