"""What a durable object is: its address, the messages it gets, and the result of one step.

A handler is a function of state and message: `handle(state, message)` gives a `Step`. It keeps nothing between calls;
what it wants done in the world is in the step's effects, which commit together with the state.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from objects.schemas import Schema

MAX_STATE_BYTES = 1 << 20
MAX_ARGUMENT_BYTES = 1 << 20
MAX_ANSWER_BYTES = 2 << 20
MAX_EFFECTS = 100
MAX_BLOB_BYTES = 8 << 20
MAX_DEPTH = 16
KEY_BYTES = 200
CALL_ID_CHARACTERS = 200
CALL_ID = re.compile(rf"[\x21-\x7e]{{1,{CALL_ID_CHARACTERS}}}")
"""What a caller may give as a call's id: ASCII, so that it is as many bytes in the mailbox."""
CALL_SECONDS = 30.0
"""How long a call may take when its caller names no deadline."""
DEDUPE_HOURS = 24


class Status(StrEnum):
    """The states that are stored."""

    CREATED = "Created"
    ACTIVE = "Active"
    HIBERNATING = "Hibernating"
    FAILED = "Failed"
    TERMINATED = "Terminated"


class Refused(Exception):
    """A handler's refusal: an answer, stored under the call's id like any other. `code` is short and stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code[:60]
        self.message = message[:1000]


class Fault(Exception):
    """A step failed by its handler's fault: it raised, lied about the protocol, or exceeded a limit. Nothing
    changed."""


class Unavailable(Exception):
    """The platform could not run a step now. Nothing changed; call again with the same id."""


@dataclass(frozen=True)
class Address:
    team: uuid.UUID
    type: str
    key: str

    def __str__(self) -> str:
        return f"{self.type}/{self.key}"


@dataclass(frozen=True)
class Method:
    """`reading`: it changes nothing, and may be called by GET. `outside`: before the step, the platform does something
    in the world for it (trusted types only)."""

    reading: bool = False
    argument: Schema = field(default_factory=dict)
    answer: Schema = field(default_factory=dict)
    description: str = ""
    outside: bool = False
    internal: bool = False
    """Only alarms, messages and events call it."""
    secret: bool = False
    """Argument or answer hold a secret: what is stored of a call can be read only with its id, which is not stored."""


@dataclass(frozen=True)
class TypeSpec:
    """A version of a type: its methods, and how many objects one key means."""

    name: str
    version: int
    methods: Mapping[str, Method]
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stateless: bool = False
    """Any number of activations anywhere; nothing is stored, and no call is deduplicated."""
    shards: int = 0
    """If not 0, callers' keys are spread over so many objects, and each message says the caller's key."""
    initial: Any = None
    hidden: bool = False
    """Its state is shown to nobody."""

    def object_key(self, key: str) -> str:
        if not self.shards:
            return key
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % self.shards
        return f"shard-{number}"


@dataclass(frozen=True)
class Message:
    """What a handler gets. `id` names the call, the same in every try; `now` is the time in seconds since the epoch."""

    method: str
    argument: Any
    id: str
    now: float
    key: str
    caller: str = ""
    outside: Any = None
    """What the platform did for a method with `outside`."""


@dataclass
class Step:
    """The result of one step. `state` None leaves the state as it is; effects are dictionaries by `kind`."""

    result: Any = None
    state: Any = None
    effects: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Call:
    """A call on its way to an object. `chain` are the objects whose steps have led to it, the first caller first;
    `deadline` is in seconds since the epoch. `cause` is what the commit takes: an alarm, a message or an event."""

    address: Address
    method: str
    argument: str
    id: str
    caller: str
    deadline: float
    chain: tuple[str, ...] = ()
    cause: Mapping[str, Any] | None = None
    key: str = ""
    """The caller's key, where that is not the object's."""
    stands_for: bytes = b""
    """In place of the hash of method and argument (`objects.secrets`)."""

    @property
    def request(self) -> bytes:
        """What the id stands for: a repeat must be of the same."""
        if self.stands_for:
            return self.stands_for
        return hashlib.sha256(f"{self.method}\0{self.key}\0{canonical(self.argument)}".encode()).digest()


@dataclass(frozen=True)
class Reply:
    """How a call ended. `code` is ok, refused or the short name of what is wrong; `body` is the JSON of the answer, or
    of `{"code", "error"}`. `version` is the state's after it."""

    code: str
    body: str
    version: int = 0
    repeated: bool = False
    owner: str = ""
    """With `moved`: the address of the node that runs the object."""
    seconds: float = 0.0
    """With `moved` and `retry`: how long the caller may wait for that."""

    @property
    def ok(self) -> bool:
        return self.code == "ok"


def problem(code: str, message: str, **more: Any) -> Reply:
    return Reply(code, json.dumps({"code": code, "error": message}), **more)


def dump(value: Any, what: str, most: int) -> str:
    """JSON of a value, for storage. Raises `Fault`."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise Fault(f"{what} is not JSON: {error}") from None
    if size > most:
        raise Fault(f"{what} has {size:,} bytes as JSON, the limit is {most:,}")
    if _NUL.search(text):
        raise Fault(f"{what} holds a NUL character")
    return text


def canonical(text: str) -> str:
    """JSON text in the one form in which equal values are equal."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def load(raw: bytes | str) -> Any:
    """Parses JSON that was written by somebody else. Raises `ValueError` for what is no JSON, or cannot be stored."""
    text = raw.decode() if isinstance(raw, bytes) else raw
    try:
        value = json.loads(text, parse_constant=_refuse)
        if _NUL.search(text):
            raise ValueError("it holds a NUL character")
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000|\x00")
