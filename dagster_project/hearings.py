"""Asks the parts of a platform whether they are alive, and ends those that hang (`dagster_project.hangs`)."""

from collections.abc import Callable, Sequence

from core.database.liveness import lets_in
from dagster_project import hangs
from dagster_project.parts import EmbeddedDatabase, Part


class Hearings:
    """`database` is the URL of the platform's database, empty for none."""

    def __init__(self, database: str, say: Callable[[str], None]) -> None:
        self._database, self._say = database, say

    def hold(self, parts: Sequence[Part], now: float) -> None:
        """Asks each part whose turn it is. While the database does not answer, nobody else is blamed for being silent:
        nearly all of them wait for it. A process that a signal has stopped waits for nothing."""
        database_answers: bool | None = None
        for part in parts:
            hearing = part.restarts.hearing
            if not hearing.due(now) or part.ended() is not None:
                continue
            does = hangs.activity(part.pid)
            stopped = does is not None and does.stopped
            answers = not stopped and part.answers(now)
            if not answers and not stopped and not isinstance(part, EmbeddedDatabase):
                if database_answers is None:
                    database_answers = not self._database or lets_in(self._database)
                answers = not database_answers
            if hearing.heard(now, answers, does):
                self._say(f"{part.name} hangs ({hearing.detail()}): it is ended and started again")
                part.kill()
