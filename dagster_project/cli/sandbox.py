"""`penstock sandbox`: tests the sandbox's isolation by trying to break it."""

from typing import Annotated

import typer

from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, note, table

sandboxes = typer.Typer(name="sandbox", help="Test the sandbox.", no_args_is_help=True)


@sandboxes.command()
def probe(
    backend: Annotated[
        str | None, typer.Option(help="gvisor or bubblewrap; by default every backend that works here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try to break out of the sandbox and to exceed each limit. Exit code 1 if an attempt succeeds."""
    from sandbox import backends, open_sandbox
    from sandbox.probes import probe as run_probes

    chosen = [open_sandbox(backend)] if backend else []
    for one in () if backend else backends():
        problem = one.available()
        if problem is None:
            chosen.append(one)
        else:
            note(f"{one.name} is skipped: {problem}")
    if not chosen:
        raise CommandFailed("no sandbox backend works here; `penstock doctor` shows what to install")
    results = []
    with Progress(quiet=as_json) as step:
        for one in chosen:
            step(f"probing {one.name}")
            results += run_probes(one)
    rows = [{"backend": r.backend, "probe": r.probe, "passed": r.passed, "evidence": r.evidence} for r in results]
    if as_json:
        data(rows)
    else:
        table(
            ["backend", "probe", "held", "evidence"],
            [[r["backend"], r["probe"], "yes" if r["passed"] else "NO", r["evidence"]] for r in rows],
            empty="",
        )
    if not all(r["passed"] for r in rows):
        raise typer.Exit(1)
