"""Tricks with links: what a command leaves in its workspace is followed when Penstock reads, writes or copies it."""

import contextlib
from collections.abc import Iterator

from sandbox.conformance import Bench
from sandbox.protocol import WorkspaceRefused

from .record import Finding, outcome
from .stage import Stage

FAMILY = "links"


def findings(bench: Bench, stage: Stage) -> Iterator[Finding]:
    secret = stage.plan["secret"].encode()
    target = stage.folder / "link-target.txt"
    target.write_bytes(secret)
    links = f"ln -s {target} file; ln -s {stage.folder} folder; ln -s .. up"
    with bench.open() as session:
        session.run(["sh", "-c", links])
        read, written = [], []
        for path in (
            "file",
            f"folder/{target.name}",
            f"up/{target.relative_to('/')}",
            f"../{target.name}",
            str(target),
        ):
            with contextlib.suppress(OSError, ValueError):
                if secret in session.read(path):
                    read.append(path)
            with contextlib.suppress(OSError, ValueError):
                session.write(path, b"changed")
            if target.read_bytes() != secret:
                written.append(path)
                target.write_bytes(secret)
    yield Finding(
        FAMILY,
        "reading by a link",
        "Penstock reads a result that is a link to a file of the host, or lies behind one",
        outcome(bool(read)),
        f"{', '.join(read)} leads outside" if read else "five paths refused",
    )
    yield Finding(
        FAMILY,
        "writing by a link",
        "Penstock writes a file where there is a link to a file of the host, or behind one",
        outcome(bool(written)),
        f"{', '.join(written)} leads outside" if written else "five paths refused; the file is unchanged",
    )
    yield _copied(bench, stage, secret)


def _copied(bench: Bench, stage: Stage, secret: bytes) -> Finding:
    """A repository may contain links."""
    what = "a workspace that contains links to files of the host is copied for a session"
    given = bench.workspace()
    (given / "file").symlink_to(stage.plan["beside"])
    (given / "folder").symlink_to(stage.folder)
    try:
        with bench.open(given) as session:
            result = session.run(["sh", "-c", "cat file folder/beside.txt"])
    except WorkspaceRefused as error:
        return Finding(FAMILY, "copying a link", what, outcome(False), f"refused: {error}")
    followed = secret in result.stdout
    return Finding(
        FAMILY,
        "copying a link",
        what,
        outcome(followed),
        "the content was copied" if followed else "the links are copied as links, and lead nowhere",
    )
