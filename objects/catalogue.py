"""The registry of types as it is stored: names, methods, versions and which of them is active."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import Connection
from psycopg.rows import class_row

from objects.manifest import read_manifest
from objects.model import TypeSpec

if TYPE_CHECKING:
    from objects.types.native import Native


@dataclass(frozen=True)
class TypeRow:
    """A team's type. The versions are of `object_code`."""

    type: str
    labels: Mapping[str, str]
    active_version: int | None
    previous_version: int | None
    canary_version: int | None
    canary_percent: int
    changed_at: datetime
    reason: str | None


@dataclass(frozen=True)
class DescribedType(TypeRow):
    """With the manifest of the version that serves or, if none does, of the newest."""

    manifest: Mapping[str, Any] | None
    manifest_version: int


@dataclass(frozen=True)
class VersionRow:
    """A version without its code; `verdict` without the evidence."""

    version: int
    sha256: str
    state: str
    author: str
    created_at: datetime
    verdict: Mapping[str, Any] | None


@dataclass(frozen=True)
class CodeRow:
    """A version of a type's code. `verdict` is what the gate said of exactly this code."""

    type: str
    version: int
    sha256: str
    source: str
    manifest: Mapping[str, Any]
    scenarios: list[Any]
    state: str
    verdict: Mapping[str, Any] | None
    author: str
    created_at: datetime


_FIELDS = "labels, active_version, previous_version, canary_version, canary_percent, changed_at, reason"
_TYPE = f"SELECT type, {_FIELDS} FROM object_types"  # noqa: S608  no text from outside
_DESCRIBED = f"""
SELECT t.type, {_FIELDS}, c.manifest, coalesce(c.version, 0) AS manifest_version FROM object_types t
LEFT JOIN LATERAL (SELECT o.version, o.manifest FROM object_code o WHERE (o.team_id, o.type) = (t.team_id, t.type)
    ORDER BY (o.version = t.active_version) IS TRUE DESC, o.version DESC LIMIT 1) c ON true
"""  # noqa: S608
_CODE = (
    "SELECT type, version, sha256, source, manifest, scenarios, state, verdict, author, created_at FROM object_code "
    "WHERE type = %s"
)


def builtin(name: str) -> "Native | None":
    """The type of this name that comes with Penstock."""
    from objects.types import NATIVE

    return NATIVE.get(name)


def read_type(connection: Connection[Any], name: str) -> TypeRow | None:
    with connection.cursor(row_factory=class_row(TypeRow)) as cursor:
        return cursor.execute(_TYPE.encode() + b" WHERE type = %s", (name,)).fetchone()


def read_types(
    connection: Connection[Any], label: tuple[str, str] | None = None, *, after: str = "", limit: int = 100
) -> list[DescribedType]:
    """A team's own types by name (in the order of its bytes), those with the label if one is given, after a name."""
    with connection.cursor(row_factory=class_row(DescribedType)) as cursor:
        return cursor.execute(
            _DESCRIBED.encode() + b" WHERE (%(name)s::text IS NULL OR t.labels ->> %(name)s = %(value)s) "
            b'AND t.type COLLATE "C" > %(after)s ORDER BY t.type COLLATE "C" LIMIT %(limit)s',
            {"name": label and label[0], "value": label and label[1], "after": after, "limit": limit},
        ).fetchall()


def describe_type(connection: Connection[Any], name: str) -> DescribedType | None:
    with connection.cursor(row_factory=class_row(DescribedType)) as cursor:
        return cursor.execute(_DESCRIBED.encode() + b" WHERE t.type = %s", (name,)).fetchone()


def read_code(connection: Connection[Any], name: str, version: int) -> CodeRow | None:
    with connection.cursor(row_factory=class_row(CodeRow)) as cursor:
        return cursor.execute(_CODE.encode() + b" AND version = %s", (name, version)).fetchone()


def read_versions(connection: Connection[Any], name: str, limit: int = 20) -> list[VersionRow]:
    """The last versions of a type, newest first."""
    with connection.cursor(row_factory=class_row(VersionRow)) as cursor:
        return cursor.execute(
            "SELECT version, sha256, state, author, created_at, verdict - 'evidence' AS verdict FROM object_code "
            "WHERE type = %s ORDER BY version DESC LIMIT %s",
            (name, limit),
        ).fetchall()


def spec_of(code: CodeRow) -> TypeSpec:
    return read_manifest(code.manifest, code.type, code.version)


def find_spec(connection: Connection[Any], name: str) -> TypeSpec | None:
    """The methods of a type as callers see them now: those of its active version."""
    native = builtin(name)
    if native is not None:
        return native.spec
    row = read_type(connection, name)
    if row is None or row.active_version is None:
        return None
    code = read_code(connection, name, row.active_version)
    return spec_of(code) if code else None
