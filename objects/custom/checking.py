"""Checks submitted code, one version at a time, and lets out what the gate passes."""

import json
import logging
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.database import Database
from objects.catalogue import CodeRow, read_code
from objects.custom.acceptance import try_code
from objects.gate import Check, Evidence, judge
from objects.model import Unavailable
from objects.submissions import CHECK_SECONDS, conclude, give_back, take_unchecked
from sandbox.protocol import Sandbox

_logger = logging.getLogger("objects")

PAUSE_SECONDS = 0.2
COPIES = 5
"""States of living objects that a new version's `migrate` is tried on."""


def check_next(database: Database, sandbox: Sandbox) -> tuple[uuid.UUID, str] | None:
    """Checks a submitted version; returns its team and type, None if there is none or it cannot be checked now."""
    with database.system() as connection:
        taken = take_unchecked(connection)
    if taken is None:
        return None
    try:
        _check(database, sandbox, taken)
    except Unavailable as error:  # another node, or this one later, takes it up again
        _logger.warning("version %d of %s is not checked now: %s", taken[2], taken[1], str(error)[:300])
        return None
    return taken[:2]


def check_version(
    database: Database,
    sandbox: Callable[[], Sandbox],
    team: uuid.UUID,
    kind: str,
    version: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> CodeRow | None:
    """The version once it is concluded: checked here, unless a node is at it already. None if it should stop. Raises
    `Unavailable`, also if that takes too long."""
    deadline = time.monotonic() + 2 * CHECK_SECONDS
    while not should_stop():
        with database.team(team) as connection:
            found = read_code(connection, kind, version)
        if found is None or found.state != "submitted":
            return found
        with database.system() as connection:
            taken = take_unchecked(connection, (team, kind, version))
        if taken is not None:
            _check(database, sandbox(), taken)
        elif time.monotonic() > deadline:
            raise Unavailable(f"version {version} of {kind} was not checked in time")
        else:
            time.sleep(PAUSE_SECONDS)
    return None


def _check(database: Database, sandbox: Sandbox, taken: tuple[uuid.UUID, str, int]) -> None:
    team, kind, version = taken
    with database.team(team) as connection:
        code = read_code(connection, kind, version)
        states = _copies(connection, kind)
    if code is None:
        return
    try:
        evidence = _tried(sandbox, code, states)
    except Unavailable:
        with database.system() as connection:
            give_back(connection, taken)
        raise
    verdict = judge(code.sha256, evidence)
    with database.team(team) as connection:
        conclude(connection, team, code, verdict)
    _logger.info("version %d of %s: %s", version, kind, "passed" if verdict.passed else "refused")


def _tried(sandbox: Sandbox, code: CodeRow, states: tuple[tuple[Any, int], ...]) -> Evidence:
    with tempfile.TemporaryDirectory(prefix="penstock-trial-") as folder:
        try:
            return try_code(sandbox, Path(folder), code, states)
        except RecursionError as error:  # a schema or scenario that is nested as deeply as it may be
            return Evidence(code.sha256, sandbox.name, (Check("load", "it can be tried", False, str(error)[:200]),), 0)


def _copies(connection: Any, kind: str) -> tuple[tuple[Any, int], ...]:
    rows = connection.execute(
        "SELECT state, code_version FROM objects WHERE type = %s AND state IS NOT NULL AND status <> 'Terminated' "
        "ORDER BY last_call_at DESC NULLS LAST LIMIT %s",
        (kind, COPIES),
    ).fetchall()
    return tuple((json.loads(state), version) for state, version in rows)
