"""What clients send: mutations of threads, and changes of sharing. Checked here, applied by the functions of the
schema."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from core.payload import clean

PROTOCOL = 1
MOST_MUTATIONS = 50
MESSAGE_BYTES = 256 << 10
MOST_MESSAGES = 10_000
BLOB_BYTES = 1 << 20
MOST_BLOBS = 500
"""Attachments of a thread."""
TITLE_CHARACTERS = 300
MOST_GRANTS = 200
LARGEST = 2**53
"""Numbers that every client can hold exactly."""

Visibility = Literal["private", "listed", "link", "team"]
Role = Literal["reader", "commenter", "writer", "owner"]


def _storable(text: str) -> str:
    if clean(text) != text:
        raise ValueError("must not contain NUL characters or lone surrogates")
    return text


def _message_size(text: str) -> str:
    if len(text.encode()) > MESSAGE_BYTES:
        raise ValueError(f"must be at most {MESSAGE_BYTES} bytes of UTF-8: attach what is larger")
    return text


_PATTERN = {"pattern": r"^[^\u0000]*$"}
Stored = Annotated[str, AfterValidator(_storable), Field(json_schema_extra=_PATTERN)]
Text = Annotated[Stored, AfterValidator(_message_size), Field(max_length=MESSAGE_BYTES)]
Title = Annotated[
    Stored, Field(min_length=1, max_length=TITLE_CHARACTERS, json_schema_extra={"pattern": r"^[^\u0000]+$"})
]
Number = Annotated[int, Field(ge=0, le=LARGEST)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Attachment(_Strict):
    sha256: Sha256
    name: Annotated[Stored, Field(min_length=1, max_length=200)]


class Mention(_Strict):
    """Lines of a file, counted from 1, at a commit; without one, as the context index has it now."""

    path: Annotated[Stored, Field(min_length=1, max_length=1000)]
    source: Annotated[Stored, Field(min_length=1, max_length=200)] | None = None
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}$")] | None = None
    lines: tuple[Annotated[int, Field(ge=1, le=10**7)], Annotated[int, Field(ge=1, le=10**7)]] | None = None


class Tokens(_Strict):
    into: Annotated[int, Field(ge=0, le=10**12, alias="in")] = 0
    out: Annotated[int, Field(ge=0, le=10**12)] = 0


class Tool(_Strict):
    name: Annotated[Stored, Field(min_length=1, max_length=200)]
    arguments: Annotated[Stored, Field(max_length=64 << 10)] = ""


class Body(_Strict):
    """What a message has beside its text. `cost` is in US dollars."""

    model: Annotated[Stored, Field(max_length=200)] | None = None
    tokens: Tokens | None = None
    cost: Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)] | None = None
    error: Annotated[Stored, Field(max_length=4000)] | None = None
    tool: Tool | None = None
    tool_use: uuid.UUID | None = None
    attachments: Annotated[list[Attachment], Field(min_length=1, max_length=20)] | None = None
    mentions: Annotated[list[Mention], Field(min_length=1, max_length=50)] | None = None


class _Mutation(_Strict):
    id: Annotated[int, Field(ge=1, le=LARGEST)]
    thread: uuid.UUID


class Create(_Mutation):
    kind: Literal["create"]
    title: Title
    visibility: Literal["private", "team"] = "private"
    parent: uuid.UUID | None = None


class Append(_Mutation):
    kind: Literal["append"]
    message: uuid.UUID
    role: Literal["user", "info", "assistant", "tool_use", "tool_result"]
    text: Text = ""
    body: Body | None = None
    turn: Number | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Append":
        names = self.body is not None and self.body.tool_use is not None
        if names != (self.role == "tool_result"):
            raise ValueError("body.tool_use: a tool_result names its tool use, and no other message does")
        if self.role == "tool_use" and (self.body is None or self.body.tool is None):
            raise ValueError("body.tool: a tool_use says which tool")
        return self


class Edit(_Mutation):
    kind: Literal["edit"]
    message: uuid.UUID
    text: Text
    base: Number | None = None
    base_mutation: Number | None = None
    turn: Number | None = None
    resolves: Annotated[list[Number], Field(max_length=20)] | None = None

    @model_validator(mode="after")
    def _built_on(self) -> "Edit":
        if (self.base is None) == (self.base_mutation is None):
            raise ValueError("base: a revision, or base_mutation, of what was edited")
        return self


class Delete(_Mutation):
    kind: Literal["delete"]
    message: uuid.UUID


class Truncate(_Mutation):
    kind: Literal["truncate"]
    after: Number
    upto: Number


class Rename(_Mutation):
    kind: Literal["title"]
    title: Title
    base: Annotated[Stored, Field(max_length=TITLE_CHARACTERS)]


Mutation = Annotated[Create | Append | Edit | Delete | Truncate | Rename, Field(discriminator="kind")]


class Push(_Strict):
    """Mutations of one client, numbered without a gap."""

    protocol: Annotated[int, Field(json_schema_extra={"const": PROTOCOL})]
    client: uuid.UUID
    mutations: Annotated[list[Mutation], Field(min_length=1, max_length=MOST_MUTATIONS)]

    @model_validator(mode="after")
    def _numbered(self) -> "Push":
        first = self.mutations[0].id
        if any(one.id != first + place for place, one in enumerate(self.mutations)):
            raise ValueError("the ids of mutations are numbers without a gap")
        return self


class Link(_Strict):
    role: Literal["reader", "commenter", "writer"] = "reader"
    hours: Annotated[float, Field(gt=0, le=24 * 365, allow_inf_nan=False)] = 24.0


class Sharing(_Strict):
    acl_epoch: Number
    visibility: Visibility
    grants: Annotated[
        dict[Annotated[Stored, Field(pattern=r"^(user|token|subject):[^\u0000]{1,200}$")], Role],
        Field(max_length=MOST_GRANTS),
    ] = {}
    link: Link | None = None

    @field_validator("grants")
    @classmethod
    def _as_principals(cls, grants: dict[str, Role]) -> dict[str, Role]:
        return {name.lower() if name.startswith("user:") else name: role for name, role in grants.items()}

    @model_validator(mode="after")
    def _fits(self) -> "Sharing":
        if self.visibility == "private" and self.grants:
            raise ValueError("grants: a private thread has none")
        if self.link is not None and self.visibility != "link":
            raise ValueError("link: only a thread with the visibility `link` has one")
        return self


class Turn(_Strict):
    action: Literal["claim", "renew", "release"]
    holder: Annotated[Stored, Field(min_length=1, max_length=100)] = "agent"
    epoch: Number = 0
    seconds: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = 30.0


class Join(_Strict):
    link: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{20,100}$")]


def stored(mutation: Any) -> dict[str, Any]:
    """A mutation as the schema's functions take it."""
    found: dict[str, Any] = mutation.model_dump(mode="json", exclude_none=True, by_alias=True)
    return found
