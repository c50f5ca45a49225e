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
    builtin: bool
    labels: Mapping[str, str]
    active_version: int | None
    previous_version: int | None
    canary_version: int | None
    canary_percent: int
    changed_at: datetime
    reason: str | None


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


_TYPE = (
    "SELECT type, builtin, labels, active_version, previous_version, canary_version, canary_percent, changed_at, "
    "reason FROM object_types"
)
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


def read_types(connection: Connection[Any], label: tuple[str, str] | None = None) -> list[TypeRow]:
    """A team's own types by name, those with the label if one is given."""
    with connection.cursor(row_factory=class_row(TypeRow)) as cursor:
        return cursor.execute(
            _TYPE.encode() + b" WHERE NOT builtin AND (%s::text IS NULL OR labels ->> %s = %s) ORDER BY type",
            (label and label[0], label and label[0], label and label[1]),
        ).fetchall()


def read_code(connection: Connection[Any], name: str, version: int) -> CodeRow | None:
    with connection.cursor(row_factory=class_row(CodeRow)) as cursor:
        return cursor.execute(_CODE.encode() + b" AND version = %s", (name, version)).fetchone()


def read_versions(connection: Connection[Any], name: str) -> list[CodeRow]:
    """All versions of a type, newest first."""
    with connection.cursor(row_factory=class_row(CodeRow)) as cursor:
        return cursor.execute(_CODE.encode() + b" ORDER BY version DESC LIMIT 200", (name,)).fetchall()


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
