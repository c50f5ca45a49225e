"""How each service is started: command lines for the supervisor, tuned for data that live as long as a run of tests."""

from dataclasses import dataclass
from typing import Any

from sandbox.protocol import Mount

from . import programs
from .declared import Postgresql, Redis, ServiceDeclarations
from .programs import Program

_FOLDER = "{folder}"
"""The supervisor replaces it by the folder of the service's data."""
_POSTGRESQL = {
    "listen_addresses": "localhost",
    "unix_socket_directories": "/tmp",  # noqa: S108 - inside the sandbox
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "2MB",
    "max_wal_size": "32MB",
    "jit": "off",
}
_INITIAL = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
    "--wal-segsize=1",
    "--username=postgres",
)


@dataclass(frozen=True)
class ServicePlan:
    """`label` is for people; `specification` for the supervisor; `note` is empty, or says what differs from what was
    declared."""

    label: str
    specification: dict[str, Any]
    mounts: tuple[Mount, ...]
    note: str

    @property
    def has_data(self) -> bool:
        """Whether it starts with data that are made once."""
        return "initialise" in self.specification


def plan(declarations: ServiceDeclarations) -> list[ServicePlan]:
    """The plans of all that are declared. Raises `EnvironmentRefused` where a program is missing."""
    plans = []
    if declarations.postgresql is not None:
        chosen = programs.postgresql(declarations.postgresql.version, declarations.postgresql.extensions)
        plans.append(_postgresql(declarations.postgresql, *chosen))
    if declarations.redis is not None:
        plans.append(_redis(declarations.redis, *programs.redis(declarations.redis.version)))
    return plans


def _postgresql(declared: Postgresql, program: Program, note: str) -> ServicePlan:
    server = str(program.path)
    label = f"PostgreSQL {program.version}"
    specification = {
        "name": label, "kind": "postgresql", "port": declared.port, "user": declared.user,
        "database": declared.database_name,
        "command": [server, "-D", _FOLDER, "-p", str(declared.port), *_options(_POSTGRESQL)],
        "initialise": [
            [[str(program.path.with_name("initdb")), "-D", _FOLDER, *_INITIAL], ""],
            [_single(server, "postgres"), _roles(declared)],
            *([[_single(server, declared.database_name), _created(declared)]] if declared.extensions else []),
        ],
    }  # fmt: skip
    return ServicePlan(label, specification, program.mounts, note)


def _single(server: str, database: str) -> list[str]:
    """PostgreSQL as one process without connections, which runs each line of its input."""
    return [server, "--single", "-D", _FOLDER, "-c", "exit_on_error=on", "-c", "fsync=off", database]


def _options(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _roles(declared: Postgresql) -> str:
    """The names have no character that would have to be escaped (see `declared.Name`)."""
    lines = []
    if declared.user != "postgres":
        lines.append(f'CREATE ROLE "{declared.user}" SUPERUSER LOGIN;')
    if declared.database_name != "postgres":
        lines.append(f'CREATE DATABASE "{declared.database_name}" OWNER "{declared.user}";')
    return "\n".join([*lines, ""])


def _created(declared: Postgresql) -> str:
    return "".join(f'CREATE EXTENSION "{name}" CASCADE;\n' for name in declared.extensions)


def _redis(declared: Redis, program: Program, note: str) -> ServicePlan:
    label = f"Redis {program.version}" if "valkey" not in program.path.name else f"Valkey {program.version}"
    # Redis before 6.2 does not start where one of several addresses is missing.
    addresses = ["127.0.0.1", "-::1"] if program.numbers >= (6, 2) else ["127.0.0.1"]
    command = [str(program.path), "--port", str(declared.port), "--bind", *addresses, "--save", "",
               "--appendonly", "no", "--dir", _FOLDER, "--daemonize", "no", "--maxclients", "500"]  # fmt: skip
    if declared.password:
        command += ["--requirepass", declared.password]
    specification = {"name": label, "kind": "redis", "port": declared.port, "command": command}
    return ServicePlan(label, specification, program.mounts, note)
