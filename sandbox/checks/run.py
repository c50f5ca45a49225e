"""Runs checkers in a session, in which the changes are."""

from collections.abc import Iterable

from sandbox.protocol import Limits, Session, in_folder

from .checkers import Check
from .diagnostics import Diagnostic

_NOT_FOUND = (126, 127)
_MOST_OUTPUT = 8 << 20


def run_checks(
    session: Session, checks: Iterable[Check], limits: Limits, seconds: float
) -> tuple[list[Diagnostic], list[str]]:
    """What the checkers say, each within `seconds`, and the names of those that could be run. Raises
    `SandboxUnavailable`."""
    found: list[Diagnostic] = []
    ran: list[str] = []
    for check in checks:
        done = session.run(in_folder(check.folder, check.command), limits=limits.with_wall(seconds))
        if done.exit_code is None or done.exit_code in _NOT_FOUND:
            continue
        said = "\n".join(part[:_MOST_OUTPUT].decode(errors="replace") for part in (done.stdout, done.stderr))
        if b"No module named " in done.stderr and not done.stdout:
            continue
        ran.append(check.tool)
        found += check.reader(check.tool, said, check.folder)
    return found, list(dict.fromkeys(ran))
