"""What a client wants to change: put into its file as pending mutations, in order, each with the next number."""

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from threads.client.store import MOST_PENDING, ClientStore, QueueFull, put
from threads.ids import uuid7
from threads.model import MESSAGE_BYTES, PROTOCOL, Push


def enqueue(store: ClientStore, mutation: Mapping[str, Any], now: float) -> int:
    """Stores a mutation, and returns its number: from then on it is not lost. Edits that were not sent yet are
    combined with the next one of the same message: the last text on the first base. Appends never are.

    Raises `pydantic.ValidationError`, `QueueFull`, `StorageFull`."""
    with store.writing() as db:
        given = dict(mutation)
        if given["kind"] == "edit":
            last = db.execute(
                "SELECT id, mutation, sent FROM pending WHERE thread = ? ORDER BY id DESC LIMIT 1", (given["thread"],)
            ).fetchone()
            if last and not last[2] and _same(json.loads(last[1]), given):
                combined = {**json.loads(last[1]), **{key: given[key] for key in ("text", "resolves") if key in given}}
                _check(store, {**combined, "id": last[0]})
                db.execute("UPDATE pending SET mutation = ?, at = at WHERE id = ?", (json.dumps(combined), last[0]))
                return int(last[0])
            before = _wrote(db, given)
            if before is not None:
                given.pop("base", None)
                given["base_mutation"] = before
        if db.execute("SELECT count(*) FROM pending").fetchone()[0] >= MOST_PENDING:
            raise QueueFull(f"{MOST_PENDING} changes wait to be sent: go online first")
        number = int(store.get("next") or 1)
        _check(store, {**given, "id": number})
        db.execute(
            "INSERT INTO pending (id, thread, mutation, at) VALUES (?, ?, ?, ?)",
            (number, given["thread"], json.dumps(given), now),
        )
        put(db, "next", str(number + 1))
    return number


def _check(store: ClientStore, mutation: Mapping[str, Any]) -> None:
    """What the server would refuse as malformed is refused here, so that it never blocks the queue."""
    Push.model_validate({"protocol": PROTOCOL, "client": store.client, "mutations": [mutation]})
    if len(json.dumps(mutation, ensure_ascii=False).encode()) > 3 * MESSAGE_BYTES:
        raise ValueError("the message is too large with what belongs to it: attach a part of it")


def _same(last: Mapping[str, Any], edit: Mapping[str, Any]) -> bool:
    return last["kind"] == "edit" and all(last.get(key) == edit.get(key) for key in ("message", "turn"))


def _wrote(db: sqlite3.Connection, edit: Mapping[str, Any]) -> int | None:
    """The last pending mutation that wrote the text that is edited."""
    rows = db.execute("SELECT id, mutation FROM pending WHERE thread = ? ORDER BY id DESC", (edit["thread"],))
    for number, text in rows:
        found = json.loads(text)
        if found["kind"] in ("append", "edit") and found["message"] == edit["message"]:
            return int(number)
    return None


def renumber(db: sqlite3.Connection, first: int) -> None:
    """Gives what is pending and not answered the numbers from `first` on, in order."""
    rows = db.execute("SELECT id, thread, mutation, at FROM pending WHERE seq IS NULL ORDER BY id").fetchall()
    numbers = {old: first + place for place, (old, *_) in enumerate(rows)}
    db.execute("DELETE FROM pending WHERE seq IS NULL")
    for old, thread, text, at in rows:
        mutation = json.loads(text)
        if "base_mutation" in mutation:
            built_on = mutation.pop("base_mutation")
            if built_on in numbers:
                mutation["base_mutation"] = numbers[built_on]
            else:
                mutation["base"] = _revision(db, thread, mutation["message"])
        db.execute(
            "INSERT INTO pending (id, thread, mutation, at) VALUES (?, ?, ?, ?)",
            (numbers[old], thread, json.dumps(mutation), at),
        )
    put(db, "next", str(first + len(rows)))


def become_another(db: sqlite3.Connection) -> None:
    """Takes a new client id, for which all numbers begin again. Answered mutations that wait for their ops are known to
    be in the log: they need no number."""
    put(db, "client", str(uuid.uuid4()))
    db.execute("DELETE FROM pending WHERE seq IS NOT NULL")
    renumber(db, 1)


def _revision(db: sqlite3.Connection, thread: str, message: str) -> int:
    row = db.execute("SELECT message FROM messages WHERE thread = ? AND id = ?", (thread, message)).fetchone()
    return int(json.loads(row[0])["revision"]) if row else 0


def new_id() -> str:
    return str(uuid7())
