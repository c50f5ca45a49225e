"""The table of attempts, and how each runs: in a process of its own, so that its end does not end the others."""

import json
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Plan = dict[str, Any]
_SECONDS = 15.0
_MOST = 400


class Refused(Exception):
    """The attempt reached nothing; the message is evidence."""


@dataclass(frozen=True)
class Attempt:
    """`action` returns what it reached, or raises. `lacking` runs outside, and says why the attempt means nothing on
    this machine; None when it does."""

    family: str
    name: str
    what: str
    action: Callable[[Plan], str]
    lacking: Callable[[], str | None] | None = None


ATTEMPTS: list[Attempt] = []


def attempt(
    family: str, name: str, what: str, lacking: Callable[[], str | None] | None = None
) -> Callable[[Callable[[Plan], str]], Callable[[Plan], str]]:
    """Adds a function to the table."""

    def add(action: Callable[[Plan], str]) -> Callable[[Plan], str]:
        ATTEMPTS.append(Attempt(family, name, what, action, lacking))
        return action

    return add


def perform(one: Attempt, plan: Plan) -> dict[str, Any]:
    """Runs one attempt in a child process: its name, whether it got through, and what it said."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.write(write, json.dumps(_outcome(one, plan)).encode())
        os._exit(0)
    os.close(write)
    said = b""
    while select.select([read], [], [], _SECONDS)[0] and (chunk := os.read(read, 65536)):
        said += chunk
    os.close(read)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if said:
        answer: dict[str, Any] = json.loads(said)
        return answer
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    why = f"no end within {_SECONDS:g} s" if number == signal.SIGKILL else f"killed by signal {number}"
    return {"name": one.name, "through": False, "said": why}


def _outcome(one: Attempt, plan: Plan) -> dict[str, Any]:
    try:
        return {"name": one.name, "through": True, "said": str(one.action(plan))[:_MOST]}
    except Refused as refusal:
        return {"name": one.name, "through": False, "said": str(refusal)[:_MOST]}
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return {"name": one.name, "through": False, "said": f"{where}{error.strerror or error}"[:_MOST]}
    except Exception as error:
        # A mistake in the attempt itself must not pass for a refusal.
        return {"name": one.name, "through": True, "said": f"the attempt failed: {error!r}"[:_MOST]}
