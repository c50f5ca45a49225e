"""Tickets as events report them, for tests of storage and search."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from assets.context.tickets import inbox
from assets.context.tickets.index import TicketIndexReport, index_tickets
from assets.context.tickets.search import TicketHit, search_tickets
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors, open_embedder
from core.events import DEFAULT_TEAM, Event
from core.tickets import TICKET_CHANGED, Comment, Kind, Service, Snapshot, State, TicketChange

START = datetime(2026, 3, 1, tzinfo=UTC)


class Counting:
    """Counts the texts passed to an embedding model, and can be made unavailable."""

    def __init__(self, name: str = "hashing") -> None:
        self._model = open_embedder(name)
        self.identity = self._model.identity
        self.dimensions = self._model.dimensions
        self.max_tokens = self._model.max_tokens
        self.embedded = 0
        self.down = False

    def embed_documents(self, given: Sequence[str]) -> Vectors:
        if self.down:
            raise EmbedderUnavailable("the model is down")
        self.embedded += len(given)
        return self._model.embed_documents(given)

    def embed_query(self, text: str) -> Vectors:
        if self.down:
            raise EmbedderUnavailable("the model is down")
        return self._model.embed_query(text)


class Tracker:
    """The tickets of one source, as events report them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.model = Counting()
        self.numbers = 0
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute(
                "INSERT INTO sources (team_id, name, location, repository) "
                "VALUES (%s, 'shop', '/srv/shop', 'acme/shop')",
                (DEFAULT_TEAM,),
            )

    def tell(self, change: TicketChange, received: datetime | None = None) -> None:
        """Stores a change as the sensor does."""
        self.numbers += 1
        event = Event(
            id=f"github:{self.numbers}",
            source="/penstock/github",
            type=TICKET_CHANGED,
            subject="shop",
            time=received or datetime.now(UTC),
            data={"source": "shop", "change": change.model_dump(mode="json", exclude_none=True)},
        )
        inbox.accept(self.database, [event])

    def index(self, *models: Embedder) -> TicketIndexReport:
        return index_tickets(self.database, DEFAULT_TEAM, "shop", embedders=models or [self.model])

    def search(self, query: str, **options: Any) -> list[TicketHit]:
        return search_tickets(self.database, DEFAULT_TEAM, "shop", query, **{"embedders": [self.model], **options})

    def keys(self, query: str, **options: Any) -> list[str]:
        return [hit.key for hit in self.search(query, **options)]

    def words(self, query: str, **options: Any) -> list[str]:
        """Searches by words alone, since every text is near some other by its vector."""
        return self.keys(query, **{"embedders": [], **options})

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.team(DEFAULT_TEAM) as connection:
            return connection.execute(query.encode(), values).fetchall()


def issue(
    number: int = 1,
    title: str = "Total is wrong",
    body: str = "The invoice adds the discount twice.",
    state: State = State.OPEN,
    at: int = 0,
    action: str = "issues.opened",
    key: str | None = None,
    **more: Any,
) -> TicketChange:
    told = {
        "title": title,
        "body": body,
        "state": state,
        "author": "ada",
        "author_id": "1",
        "url": f"https://github.com/acme/shop/issues/{number}",
        "created_at": START,
        "updated_at": START + timedelta(minutes=at),
    }
    outer = {
        name: more.pop(name)
        for name in ("deleted", "moved_from", "comment", "kind", "service", "project")
        if name in more
    }
    return TicketChange(
        **{"service": Service.GITHUB, "project": "acme/shop", "kind": Kind.ISSUE, **outer},
        key=key or f"#{number}",
        action=action,
        ticket=Snapshot(**{**told, **more}),
    )


def comment(
    number: int, identity: str, body: str, at: int = 0, ticket: Snapshot | None = None, **more: Any
) -> TicketChange:
    told = {"author": "eve", "author_id": "2", "updated_at": START + timedelta(minutes=at)}
    return TicketChange(
        service=Service.GITHUB,
        project="acme/shop",
        key=f"#{number}",
        kind=Kind.ISSUE,
        action="issue_comment.created",
        ticket=ticket,
        comment=Comment(id=identity, body=body, **{**told, **more}),
    )
