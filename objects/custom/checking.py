"""Checks submitted code, one version at a time, and lets out what the gate passes."""

import json
import logging
import tempfile
import uuid
from pathlib import Path
from typing import Any

from core.database import Database
from objects.catalogue import CodeRow, read_code
from objects.custom.acceptance import try_code
from objects.gate import Check, Evidence, judge
from objects.model import Unavailable
from objects.submissions import conclude, take_unchecked
from sandbox.protocol import Sandbox

_logger = logging.getLogger("objects")

COPIES = 5
"""States of living objects that a new version's `migrate` is tried on."""


def check_next(database: Database, sandbox: Sandbox) -> tuple[uuid.UUID, str] | None:
    """Checks the oldest submitted version; returns its team and type, None if there is none."""
    with database.system() as connection:
        taken = take_unchecked(connection)
    if taken is None:
        return None
    team, kind, version = taken
    with database.team(team) as connection:
        code = read_code(connection, kind, version)
        states = _copies(connection, kind)
    if code is None:
        return team, kind
    try:
        evidence = _tried(sandbox, code, states)
    except Unavailable as error:  # another node, or this one later, takes it up again
        _logger.warning("version %d of %s is not checked now: %s", version, kind, str(error)[:300])
        return None
    verdict = judge(code.sha256, evidence)
    with database.team(team) as connection:
        conclude(connection, team, code, verdict)
    _logger.info("version %d of %s: %s", version, kind, "passed" if verdict.passed else "refused")
    return team, kind


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
