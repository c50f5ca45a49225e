"""Error handling of the `penstock eval` commands, and the argument that most of them share."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, ParamSpec, TypeVar

import typer

from dagster_project.cli.output import CommandFailed

P = ParamSpec("P")
T = TypeVar("T")

SetName = Annotated[str, typer.Argument(metavar="SET", help="A set's name, or the folder that holds it.")]


def user_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Decorates a command: errors that a user can fix, such as a wrong set, run or query, become `CommandFailed`."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from assets.evals.compare.comparison import NotComparable
        from assets.evals.promote.promotion import PromotionRefused
        from assets.evals.runs.query import QueryRefused
        from assets.evals.runs.store import StoreError
        from assets.evals.runs.subject import SubjectCannotStart, UnknownSubject
        from assets.evals.sets.eval_set import EvalSetError
        from assets.evals.sets.repair import RepairSetError
        from core.defaults import DefaultsError

        known = (
            EvalSetError, RepairSetError, StoreError, NotComparable, QueryRefused, SubjectCannotStart, UnknownSubject,
            PromotionRefused, DefaultsError,
        )  # fmt: skip
        try:
            return command(*args, **kwargs)
        except known as error:
            raise CommandFailed(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise CommandFailed(f"{where}{error.strerror or error}") from error

    return run
