"""A script for `ChatServer` that repairs known issues with a settable probability, through the tools of the engine.

Whether it succeeds is drawn from its seed, the request's seed and the issue, so that a repeat of a case is a new
draw and a repeat of a run is not. A failure either edits wrongly and gives up when the tests say so, or gives up
at once. As a program it serves a set of repair cases until it is stopped:
`python tests/chat_quality.py --set eval_sets/repair --probability 0.7`.
"""

import argparse
import json
import random
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.chat_server import ChatServer, Reply, Request

Edits = tuple[tuple[str, str, str], ...]
"""(path, old, new)."""


@dataclass(frozen=True)
class Known:
    """An issue by a text that it holds, and the edits that repair it."""

    issue: str
    edits: Edits


@dataclass
class Solver:
    """`probability` of success; `detours` is how many answers go to looking around first, of which the last ones are
    drawn; `gives_up` is the share of failures that do not even try."""

    known: Sequence[Known]
    probability: float = 1.0
    detours: int = 1
    gives_up: float = 0.5
    seed: int = 0
    draws: list[bool] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        issue = next((one for one in self.known if one.issue in request.first("user")), None)
        if issue is None:
            return Reply(calls=(("give_up", {"reason": "I do not know this issue."}),))
        key = f"{self.seed}\0{request.seed}\0{issue.issue}"
        chance = random.Random(sha256(key.encode()).digest())  # noqa: S311
        solves = chance.random() < self.probability
        hopeless = chance.random() < self.gives_up
        if request.answers == 0:
            self.draws.append(solves)
        path, old, _ = issue.edits[0]
        plan: list[tuple[tuple[str, Any], ...]] = [(("search", {"query": old.strip()[:60]}),)] * self.detours
        plan.append((("read", {"path": path}),))
        if solves:
            plan.append(tuple(("edit", {"path": p, "old": o, "new": n}) for p, o, n in issue.edits))
            plan.append((("run_tests", {}),))
        elif not hopeless:
            # A blank line changes nothing that a test could see.
            plan.append((("edit", {"path": path, "old": old, "new": f"{old}\n"}),))
            plan.append((("run_tests", {}),))
        plan.append((("give_up", {"reason": "I cannot see it."}),))
        return Reply(calls=plan[min(request.answers, len(plan) - 1)])


def edits_of(patch: str) -> Edits:
    """The hunks of a unified diff as texts to be replaced, context lines included."""
    edits: list[tuple[str, str, str]] = []
    path = ""
    old: list[str] = []
    new: list[str] = []

    def end() -> None:
        if old != new:
            edits.append((path, "\n".join(old), "\n".join(new)))
        old.clear()
        new.clear()

    for line in patch.split("\n"):
        if line.startswith("--- "):
            end()
        elif line.startswith("+++ "):
            path = re.sub(r"^b/", "", line[4:].split("\t")[0])
        elif line.startswith("@@ "):
            end()
        elif line[:1] in (" ", "-", "+") and path:
            if line[0] != "+":
                old.append(line[1:])
            if line[0] != "-":
                new.append(line[1:])
    end()
    return tuple(edits)


def known_of(folder: Path) -> list[Known]:
    """What a set of repair cases says: the issue's title and the fix of each."""
    cases = sorted(path for path in (folder / "cases").iterdir() if (path / "fix.patch").is_file())
    return [
        Known(_title((case / "issue.md").read_text()), edits_of((case / "fix.patch").read_text())) for case in cases
    ]


def _title(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ").strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a chat model of known quality for a set of repair cases.")
    parser.add_argument("--set", type=Path, required=True, help="folder with cases/")
    parser.add_argument("--probability", type=float, default=1.0)
    parser.add_argument("--detours", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    solver = Solver(known_of(given.set), given.probability, given.detours, seed=given.seed)
    server = ChatServer(solver, given.port)
    print(json.dumps({"url": server.url, "cases": len(solver.known)}), flush=True)  # noqa: T201
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
