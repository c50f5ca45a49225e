"""The service registry as people and clients see it: types, their methods and versions, and how their calls went."""

import uuid
from collections.abc import Mapping
from typing import Any

from psycopg import Connection
from pydantic import BaseModel

from core.access.errors import NotFound
from objects.catalogue import DescribedType, builtin, describe_type, read_types, read_versions
from objects.manifest import read_manifest
from objects.model import Method, TypeSpec
from objects.types import NATIVE

HEALTH_HOURS = 1


class MethodView(BaseModel):
    reading: bool
    description: str
    argument: dict[str, Any]
    answer: dict[str, Any]

    @classmethod
    def of(cls, method: Method) -> "MethodView":
        return cls(
            reading=method.reading,
            description=method.description,
            argument=dict(method.argument),
            answer=dict(method.answer),
        )


class VersionView(BaseModel):
    """A version of a team's code: submitted, accepted or refused, with the gate's verdict about exactly this hash; the
    evidence is shown with the version alone."""

    version: int
    sha256: str
    state: str
    author: str
    created_at: Any
    verdict: Mapping[str, Any] | None


class Health(BaseModel):
    """Steps of the last hour. Refusals are answers; faults are failures of the code."""

    answered: int = 0
    refused: int = 0
    faults: int = 0
    p95_seconds: float | None = None
    objects: dict[str, int] = {}
    """How many objects have each stored status."""


class TypeView(BaseModel):
    type: str
    builtin: bool
    description: str
    labels: Mapping[str, str]
    stateless: bool
    shards: int
    methods: dict[str, MethodView]
    active_version: int | None
    previous_version: int | None = None
    canary_version: int | None = None
    canary_percent: int = 0
    reason: str | None = None
    versions: list[VersionView] = []
    """The last twenty, where one type is shown."""
    health: Health | None = None


def show_types(
    connection: Connection[Any], label: tuple[str, str] | None = None, *, after: str = "", limit: int = 100
) -> list[TypeView]:
    """The types that a team may use by name, after a name; without their versions and health."""
    own = [_own(row) for row in read_types(connection, label, after=after, limit=limit)]
    shown = [
        _native(one.spec)
        for one in NATIVE.values()
        if one.spec.name > after and (label is None or one.spec.labels.get(label[0]) == label[1])
    ]
    return sorted([*shown, *own], key=lambda one: one.type)[:limit]


def show_type(connection: Connection[Any], team: uuid.UUID, name: str) -> TypeView:
    """Raises `NotFound`."""
    native = builtin(name)
    if native is not None:
        view = _native(native.spec)
    else:
        row = describe_type(connection, name)
        if row is None:
            raise NotFound(f"there is no type {name[:63]!r}")
        view = _own(row)
        view.versions = [
            VersionView.model_validate(one, from_attributes=True) for one in read_versions(connection, name)
        ]
    view.health = health_of(connection, team, name)
    return view


def _own(row: DescribedType) -> TypeView:
    known = row.manifest is not None
    spec = read_manifest(row.manifest, row.type, row.manifest_version) if known else TypeSpec(row.type, 0, {})
    return TypeView(
        **_of_spec(spec),
        builtin=False,
        active_version=row.active_version,
        previous_version=row.previous_version,
        canary_version=row.canary_version,
        canary_percent=row.canary_percent,
        reason=row.reason,
    )


def _native(spec: TypeSpec) -> TypeView:
    return TypeView(**_of_spec(spec), builtin=True, active_version=spec.version)


def _of_spec(spec: TypeSpec) -> dict[str, Any]:
    methods = {name: MethodView.of(one) for name, one in spec.methods.items() if not one.internal}
    return {
        "type": spec.name, "description": spec.description, "labels": dict(spec.labels), "stateless": spec.stateless,
        "shards": spec.shards, "methods": methods,
    }  # fmt: skip


def health_of(connection: Connection[Any], team: uuid.UUID, name: str, hours: float = HEALTH_HOURS) -> Health:
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE outcome = 'ok'), count(*) FILTER (WHERE outcome = 'refused'), "
        "percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FROM object_calls "
        "WHERE team_id = %s AND type = %s AND at > clock_timestamp() - make_interval(secs => %s)",
        (team, name, hours * 3600),
    ).fetchone()
    faults = connection.execute(
        "SELECT count(*) FROM object_faults WHERE team_id = %s AND type = %s "
        "AND at > clock_timestamp() - make_interval(secs => %s)",
        (team, name, hours * 3600),
    ).fetchone()
    found = connection.execute(
        "SELECT status, count(*) FROM objects WHERE team_id = %s AND type = %s GROUP BY status", (team, name)
    ).fetchall()
    assert row is not None and faults is not None  # noqa: S101  aggregates return a row
    return Health(answered=row[0], refused=row[1], p95_seconds=row[2], faults=faults[0], objects=dict(found))
