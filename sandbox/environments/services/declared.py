"""The services that a repository declares: the keys of `[environment.services]` in its `penstock.toml`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
Password = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Port = Annotated[int, Field(ge=1024, le=65_535)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
Variables = Annotated[dict[VariableName, Annotated[str, Field(max_length=2000)]], Field(max_length=50)]
HOST = "localhost"


class _Service(BaseModel):
    """What all services have. `version`: the major version. `variables`: environment variables for the tests beside the
    usual ones, in which `{url}`, `{host}`, `{port}` and the names of the service's own texts are filled in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,5}){0,3}$")] | None = None
    variables: Variables = Field(default_factory=dict)

    @field_validator("version", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        known = self.texts()
        for name, text in self.variables.items():
            for word in _PLACEHOLDER.findall(text):
                if word not in known:
                    raise ValueError(f"variables.{name}: {{{word}}} is not known (known: {', '.join(known)})")
        return self

    def texts(self) -> dict[str, str]:
        """What placeholders stand for, by name."""
        raise NotImplementedError

    def usual(self) -> dict[str, str]:
        """The environment variables that programs usually read."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The environment variables for the tests."""
        texts = self.texts()
        filled = {name: _PLACEHOLDER.sub(lambda word: texts[word[1]], text) for name, text in self.variables.items()}
        return {**self.usual(), **filled}


class Postgresql(_Service):
    """A PostgreSQL server. `user` is its superuser; `database` (by default named as the user) is there when it starts,
    with `extensions` created in it. Any password is accepted; `password` is the one that tests are told. `setup`:
    commands to run in the repository each time that it has started, such as those that create tables."""

    port: Port = 5432
    user: Name = "postgres"
    password: Password = "postgres"  # noqa: S105 - of a database that lives as long as a run of tests
    database: Name | None = None
    extensions: Annotated[tuple[Name, ...], Field(max_length=30)] = ()
    setup: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...], Field(max_length=20)] = ()

    @field_validator("setup", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("database")
    @classmethod
    def _free(cls, value: str | None) -> str | None:
        if value in ("template0", "template1"):
            raise ValueError(f"{value} is a template that PostgreSQL has itself; choose another name")
        return value

    @property
    def database_name(self) -> str:
        return self.database or self.user

    def texts(self) -> dict[str, str]:
        password = quote(self.password, safe="")
        return {
            "url": f"postgresql://{self.user}:{password}@{HOST}:{self.port}/{self.database_name}",
            "host": HOST, "port": str(self.port), "user": self.user, "password": self.password,
            "database": self.database_name,
        }  # fmt: skip

    def usual(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.texts()["url"], "PGHOST": HOST, "PGPORT": str(self.port), "PGUSER": self.user,
            "PGPASSWORD": self.password, "PGDATABASE": self.database_name, "POSTGRES_HOST": HOST,
            "POSTGRES_PORT": str(self.port), "POSTGRES_USER": self.user, "POSTGRES_PASSWORD": self.password,
            "POSTGRES_DB": self.database_name,
        }  # fmt: skip


class Redis(_Service):
    """A Redis or Valkey server, which keeps nothing. With `password`, clients must send it."""

    port: Port = 6379
    password: Password | None = None

    def texts(self) -> dict[str, str]:
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return {"url": f"redis://{secret}{HOST}:{self.port}/0", "host": HOST, "port": str(self.port),
                "password": self.password or ""}  # fmt: skip

    def usual(self) -> dict[str, str]:
        given = {"REDIS_URL": self.texts()["url"], "REDIS_HOST": HOST, "REDIS_PORT": str(self.port)}
        return given | ({"REDIS_PASSWORD": self.password} if self.password else {})


class ServiceDeclarations(BaseModel):
    """`services` is a list of names, or a table with one table for each service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    postgresql: Postgresql | None = None
    redis: Redis | None = None

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        for name in value:
            if name not in cls.model_fields:
                raise ValueError(f"unknown service {str(name)[:100]!r} (known: {', '.join(cls.model_fields)})")
        return {name: {} for name in value}

    @model_validator(mode="after")
    def _ports(self) -> Self:
        if self.postgresql and self.redis and self.postgresql.port == self.redis.port:
            raise ValueError(f"postgresql and redis have the same port, {self.redis.port}; change one `port`")
        return self

    @property
    def declared(self) -> Mapping[str, _Service]:
        """Those that are declared, by name."""
        both = {"postgresql": self.postgresql, "redis": self.redis}
        return {name: service for name, service in both.items() if service is not None}

    @property
    def setup(self) -> tuple[str, ...]:
        """Commands to run each time that the services have started."""
        return self.postgresql.setup if self.postgresql is not None else ()

    def environment(self) -> dict[str, str]:
        """The environment variables for the tests."""
        return {name: text for one in self.declared.values() for name, text in one.environment().items()}
