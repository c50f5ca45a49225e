"""What may be declared of a service, what tests are told about it, and which program is used."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from assets.executions.repository.settings import RepositorySettingsError, read_settings
from sandbox.environments.services import ServiceDeclarations, programs
from sandbox.environments.services.programs import Program
from sandbox.environments.wanted import EnvironmentRefused


def declared(**services: object) -> ServiceDeclarations:
    return ServiceDeclarations.model_validate(services)


def test_names_alone_declare_services_with_their_usual_ports() -> None:
    settings = read_settings(b'[environment]\nservices = ["redis", "postgresql"]\n')
    told = settings.environment.services.environment()
    assert told["DATABASE_URL"] == "postgresql://postgres:postgres@localhost:5432/postgres"
    assert (told["PGDATABASE"], told["POSTGRES_DB"], told["PGUSER"]) == ("postgres", "postgres", "postgres")
    assert told["REDIS_URL"] == "redis://localhost:6379/0"
    assert "REDIS_PASSWORD" not in told
    assert list(settings.environment.services.declared) == ["postgresql", "redis"]


def test_a_table_declares_more_and_variables_are_filled_in() -> None:
    content = b"""
[environment.services.postgresql]
version = 15
database = "app"
user = "me"
password = "a/b@c"
variables = { URI = "postgresql+psycopg://{user}:{password}@{host}:{port}/{database}", DSN = "{url}" }
"""
    told = read_settings(content).environment.services.environment()
    assert told["DATABASE_URL"] == told["DSN"] == "postgresql://me:a%2Fb%40c@localhost:5432/app"
    assert told["URI"] == "postgresql+psycopg://me:a/b@c@localhost:5432/app"
    assert told["PGPASSWORD"] == "a/b@c"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('services = ["mysql"]', "unknown service 'mysql' (known: postgresql, redis)"),
        ("services.postgres = {}", "unknown key 'environment.services.postgres' (known: postgresql, redis)"),
        ("services.redis = { databse = 1 }", "unknown key 'environment.services.redis.databse' (known: version, "),
        ("services.redis = { port = 80 }", "environment.services.redis.port: Input should be greater than"),
        ("services.postgresql = { port = 6379 }\nservices.redis = {}", "the same port, 6379; change one `port`"),
        ('services.postgresql = { version = "latest" }', "environment.services.postgresql.version"),
        ("services.postgresql = { version = true }", "environment.services.postgresql.version"),
        ("services.postgresql = { database = 'a\"; DROP TABLE x' }", "environment.services.postgresql.database"),
        ('services.postgresql = { database = "template1" }', "is a template that PostgreSQL has itself"),
        ('services.postgresql = { user = "a\\nb" }', "environment.services.postgresql.user"),
        ('services.postgresql = { extensions = ["a;b"] }', "environment.services.postgresql.extensions"),
        ('services.redis = { variables = { X = "{user}" } }', "variables.X: {user} is not known (known: url, host, "),
        ('services.redis = { variables = { "A=B" = "" } }', "environment.services.redis.variables"),
        ('services = "redis"', "environment.services"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(line: str, complaint: str) -> None:
    with pytest.raises(RepositorySettingsError) as refused:
        read_settings(f"[environment]\n{line}\n".encode())
    assert complaint in str(refused.value)


def test_keys_of_other_tables_are_still_named() -> None:
    with pytest.raises(RepositorySettingsError, match=r"unknown key 'limits.second' \(known: seconds, candidates"):
        read_settings(b"[limits]\nsecond = 1\n")
    with pytest.raises(RepositorySettingsError, match=r"unknown key 'tests' \(known: test, setup, "):
        read_settings(b"tests = 'x'\n")


def test_an_unknown_placeholder_is_not_evaluated() -> None:
    with pytest.raises(ValidationError):
        declared(redis={"variables": {"X": "{url}{nothing}"}})
    assert declared(redis={"variables": {"X": "{url.__class__}"}}).environment()["X"] == "{url.__class__}"


def server(version: str, *extensions: str) -> Program:
    return Program(Path("/usr/lib/postgresql/x/bin/postgres"), version, (), frozenset(extensions))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    found = [server("16.3", "hstore"), server("15.18"), server("18.4", "vector")]
    monkeypatch.setattr(programs, "_postgresql_programs", lambda: found)
    monkeypatch.setattr(programs, "_redis_programs", lambda: found[1:2])
    return found


def test_the_version_that_is_asked_for_is_used(installed: list[Program]) -> None:
    assert programs.postgresql("15", ()) == (installed[1], "")
    assert programs.postgresql("18.1", ()) == (installed[2], "")
    assert programs.postgresql(None, ()) == (installed[0], "")


def test_another_version_is_used_with_a_note_that_says_which_are_there(installed: list[Program]) -> None:
    chosen, note = programs.postgresql("14", ())
    assert chosen is installed[0]
    assert note == ("penstock.toml asks for PostgreSQL 14, which is not on this machine (there: 16.3, 15.18, 18.4); "
                    "the tests run with PostgreSQL 16.3.")  # fmt: skip
    assert programs.redis("7")[1].endswith("the tests run with Redis 15.18.")


def test_a_server_with_the_extensions_is_used(installed: list[Program]) -> None:
    assert programs.postgresql(None, ("vector",)) == (installed[2], "")
    assert programs.postgresql("15", ("hstore",))[0] is installed[0]
    with pytest.raises(EnvironmentRefused, match=r"the extension nope of PostgreSQL .* `postgresql-<version>-<exten"):
        programs.postgresql(None, ("nope",))


def test_what_is_not_installed_is_refused_with_what_to_install(installed: list[Program]) -> None:
    installed.clear()
    with pytest.raises(EnvironmentRefused, match=r"PostgreSQL 15 .*none is installed here: install .*postgresql-15"):
        programs.postgresql("15", ())
    assert programs._redis_programs() == []
    with pytest.raises(EnvironmentRefused, match=r"neither Redis nor Valkey .* `apt install redis-server`"):
        programs.redis(None)
