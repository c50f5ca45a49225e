"""A tracker with a source in a fresh database."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.database import Database
from core.events import DEFAULT_TEAM
from tests.assets.context.tickets.ticket_cases import Tracker


@pytest.fixture
def tracker(database: Database) -> Tracker:
    return Tracker(database)


@pytest.fixture
def get_vectors(database: Database) -> Callable[[str], Any]:
    def get(identity: str) -> Any:
        with database.team(DEFAULT_TEAM) as connection:
            [(table,)] = connection.execute(
                "SELECT table_name FROM embedding_models WHERE identity = %s", (identity,)
            ).fetchall()
            rows = connection.execute(f"SELECT embedding::real[] FROM {table}".encode()).fetchall()  # noqa: S608
        return np.array([row[0] for row in rows])

    return get
