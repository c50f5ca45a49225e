"""`penstock backup` and `penstock restore`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; replaced if it is there.")],
    secrets: Annotated[bool, typer.Option("--secrets", help="Put the home's secrets in as they are.")] = False,
    key_file: Annotated[
        Path | None, typer.Option(help="Put the home's secrets in, encrypted with the content of this file.")
    ] = None,
    mirrors: Annotated[
        bool, typer.Option("--mirrors", help="Put every mirror in, not only those whose repository is gone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the databases, the event log's offsets and the home's files into one file, while everything may run.

    Only its owner can read the file. It is written whole or not at all."""
    from core.settings import load_settings
    from dagster_project.operations import backup as steps
    from dagster_project.operations.archive import read_key

    if secrets and key_file:
        raise typer.BadParameter("give --secrets or --key-file, not both")
    key = read_key(key_file) if key_file else None
    with Progress(quiet=as_json) as tell:
        made = steps.backup(load_settings(), target, secrets=secrets, key=key, mirrors=mirrors, tell=tell)
    size = target.stat().st_size
    if as_json:
        said = {"file": target.absolute(), "bytes": size, "id": made.id, "made_at": made.made_at, "schema": made.schema}
        data({**said, "rows": made.rows, "secrets": made.secrets, "left_out": made.left_out})
        return
    line(f"{target}: {size / 1e6:.1f} MB, schema {made.schema:04d}, {sum(made.rows.values())} rows")
    for one in made.left_out:
        note(f"left out: {one}")
    if made.secrets == "none":
        note("without the secrets: --secrets or --key-file puts them in")


def restore(
    archive: Annotated[Path | None, typer.Argument(metavar="FILE", help="What `penstock backup` wrote.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what is there; it is kept under another name.")
    ] = False,
    key_file: Annotated[Path | None, typer.Option(help="The key file with which the secrets were encrypted.")] = None,
    kafka: Annotated[
        Literal["same", "new"] | None,
        typer.Option(help="With Kafka: whether it still has the events of that time, or its topics are new."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Finish or undo a restore that was interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the platform again from a backup. It must not run. Everything is checked before anything is changed."""
    from core.settings import load_settings
    from dagster_project.operations import restore as steps
    from dagster_project.operations.archive import read_key

    if resume:
        said = steps.resume(load_settings())
        data({"said": said}) if as_json else line(said)
        return
    if archive is None:
        raise typer.BadParameter("name the file, or give --resume", param_hint="FILE")
    if not archive.is_file():
        raise CommandFailed(f"{archive} is not a file")
    key = read_key(key_file) if key_file else None
    with Progress(quiet=as_json) as tell:
        done = steps.restore(load_settings(), archive, replace=replace, key=key, kafka=kafka, tell=tell)
    made = done.manifest
    if as_json:
        data({"id": made.id, "made_at": made.made_at, "schema": made.schema, "rows": made.rows, "kept": done.kept})
        return
    line(f"restored the state of {made.made_at} (Penstock {made.version}, schema {made.schema:04d})")
    for name in done.kept:
        note(f"what was there is kept as the database {name}: drop it once you do not need it")
    if made.secrets == "none":
        note("the backup has no secrets: put your own back, or senders and tokens are refused")
