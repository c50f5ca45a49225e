"""Finds earlier tickets similar to a task, with what closed them, and shows them as a short list or as quotes."""

from collections.abc import Sequence

from assets.context.pack.spans import Quote
from assets.context.tickets.search import TicketHit, search_tickets
from assets.shared.markdown import cell, code
from core.database import Database
from core.embedding import Embedder
from core.tasks import Task

MOST = 5


def similar_tickets(database: Database, task: Task, *, embedders: Sequence[Embedder] = ()) -> list[TicketHit]:
    """At most five similar tickets of the task's source that were opened before it, without the task's own ticket."""
    return search_tickets(
        database,
        task.team_id,
        task.source,
        task.text,
        MOST,
        embedders=embedders,
        before=task.created_at,
        without=[task.url] if task.url else [],
    )


def ticket_quotes(hits: Sequence[TicketHit]) -> list[Quote]:
    """The hits as quotes for a context pack: title, state and what closed it, then the passage that matched. Their
    trust is that of the passage's author."""
    return [
        Quote(
            source=hit.source,
            key=hit.key,
            text=f"{hit.title}\n({_state(hit)})\n\n{hit.passage}",
            trust=hit.trust,
            author=hit.author or "",
            url=hit.url or "",
        )
        for hit in hits
    ]


def _state(hit: TicketHit) -> str:
    return f"{hit.state}, closed by {', '.join(hit.closed_by)}" if hit.closed_by else hit.state


def tickets_table(hits: Sequence[TicketHit]) -> str:
    """The hits as a Markdown table. Titles come from outside and are escaped."""
    if not hits:
        return "none"
    rows = [
        f"| {_linked(hit)} | {cell(hit.title[:160])} "
        f"| {cell(hit.state)} | {cell(', '.join(hit.closed_by)) or '-'} | {hit.score:.4f} |"
        for hit in hits
    ]
    return "\n".join(["| ticket | title | state | closed by | score |", "|---|---|---|---|---|", *rows])


def _linked(hit: TicketHit) -> str:
    shown = code(hit.key)
    # A URL may contain brackets, which would end the link.
    return f"[{shown}]({hit.url.replace('(', '%28').replace(')', '%29')})" if hit.url else shown
