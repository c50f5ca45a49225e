"""What tools read without the gateway: the context index, the models and the results of evals. Everything about
repositories is read as the asking team."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.database import Database
from core.teams import DEFAULT_TEAM

if TYPE_CHECKING:
    from core.settings import Settings
    from dagster_project.mcp_server.gateway_api import Who

PACK_TICKETS = 3


class NotFound(Exception):
    """What was asked about is not there, or cannot be read now; the message says what to do."""


class Knowledge:
    """Safe for several threads."""

    def __init__(self, settings: "Settings", database: Database) -> None:
        self._settings = settings
        self._database = database

    def sources(self, team: uuid.UUID) -> list[dict[str, Any]]:
        with self._database.team(team) as connection:
            rows = connection.execute("SELECT name, repository, branch FROM sources ORDER BY name LIMIT 500").fetchall()
        return [{"name": name, "repository": repository, "branch": branch} for name, repository, branch in rows]

    def search(self, team: uuid.UUID, source: str, query: str, limit: int) -> list[dict[str, Any]]:
        from assets.context.search import search
        from assets.context.source.sources import find_source
        from core.embedding.serving import Models

        with _readable():
            name = find_source(self._database, team, source).name
            used = Models(self._database, self._settings).in_use()
            found = search(self._database, team, name, query, limit, embedders=used.asked, fallback=used.draining)
        return [place.model_dump(mode="json") for place in found]

    def pack(self, team: uuid.UUID, source: str, query: str, tokens: int) -> str:
        from assets.context.search import context_pack
        from assets.context.source.sources import find_source
        from assets.context.tickets.search import search_tickets
        from assets.context.tickets.similar import ticket_quotes
        from core.embedding.serving import Models

        with _readable():
            name = find_source(self._database, team, source).name
            used = Models(self._database, self._settings).in_use()
            similar = search_tickets(self._database, team, name, query, PACK_TICKETS, embedders=used.asked)
            pack = context_pack(
                self._database,
                team,
                name,
                query,
                tokens,
                quotes=ticket_quotes(similar),
                embedders=used.asked,
                fallback=used.draining,
            )
        return pack.markdown()

    def models(self, who: "Who") -> list[dict[str, Any]]:
        """Raises `NotFound` for other teams than the default one: models belong to the platform."""
        from core.chat.probe import chat_states
        from core.embedding import catalogue

        _require_default(who)
        with self._database.system() as connection:
            entries = [one for one in catalogue.entries(connection) if one.state != "retired"]
        embedding = [
            {"kind": "embedding", "name": one.name, "state": one.state, "dimensions": one.dimensions} for one in entries
        ]
        chats = chat_states(self._settings.models_folder, self._settings.chat_model, ask=False)
        return embedding + [{"kind": "chat", **asdict(one)} for one in chats]

    def evals(self, who: "Who", set_name: str, limit: int) -> list[dict[str, Any]]:
        """Raises `NotFound` for other teams than the default one: evals belong to the platform."""
        from assets.evals.report.formats import json_values
        from assets.evals.report.summary import summarise
        from dagster_project.eval_places import result_store

        _require_default(who)
        store = result_store()
        records = [one for one in store.runs() if not set_name or one.set_name == set_name]
        return [dict(json_values(summarise(store, one))) for one in records[-limit:]]


def _require_default(who: "Who") -> None:
    if who.team_id != DEFAULT_TEAM:
        raise NotFound("models and evals belong to the platform: only tokens of the default team may read them")


@contextmanager
def _readable() -> Iterator[None]:
    """Turns errors of the index into `NotFound`."""
    import psycopg

    from assets.context.source.sources import SourceError
    from assets.context.store.postgres import NotIndexed
    from core.embedding import EmbedderUnavailable
    from core.worker import WorkerUnavailable

    try:
        yield
    except (SourceError, NotIndexed, EmbedderUnavailable, WorkerUnavailable, ValueError) as error:
        raise NotFound(str(error)) from error
    except psycopg.OperationalError as error:
        raise NotFound("the database cannot be reached now: ask again later") from error
