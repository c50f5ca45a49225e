"""The proxy's configuration: which servers have which models, how traffic is shared, and what teams may use.

One TOML file. `read_config` raises `ProxyConfigError`, which names the file, the field and the remedy.
"""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from core.unknown_settings import nearest

NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}$"
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"
MOST_BACKENDS = 500


class ProxyConfigError(ValueError):
    """The configuration is wrong; the message names the file, the field and what is allowed."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


def _bare(value: HttpUrl) -> HttpUrl:
    if value.username or value.password or value.query or value.fragment:
        raise ValueError("must not contain a password or query: name a key_variable instead")
    return value


Address = Annotated[HttpUrl, AfterValidator(_bare)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1e6)]
VersionName = Annotated[str, Field(pattern=VERSION)]


class Times(_Table):
    """Time limits of a request's phases, in seconds."""

    connect: Seconds = Field(default=2.0, description="Connecting to a server.")
    first_byte: Seconds = Field(default=120.0, description="From sending a request to the first token of a stream.")
    between: Seconds = Field(default=30.0, description="Between two pieces of a stream.")
    total: Seconds = Field(default=600.0, description="The whole request, with queueing and retries.")
    queue: Seconds = Field(default=10.0, description="Waiting for a free server.")


class Deployment(_Table):
    """A Kubernetes Deployment (or StatefulSet) that has no replica while its model sleeps."""

    namespace: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    name: str = Field(pattern=r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$")
    resource: Literal["deployments", "statefulsets"] = "deployments"


class Wake(_Table):
    """How a server that was scaled to zero is started: exactly one of `url` and `deployment`."""

    url: Address | None = Field(default=None, description="Gets a POST with backend, model and version.")
    deployment: Deployment | None = Field(default=None, description="Scaled from zero to one.")
    seconds: Seconds = Field(default=180.0, description="How long requests are held for it.")
    held: int = Field(default=64, ge=1, le=10_000, description="Most requests held.")

    @model_validator(mode="after")
    def _one(self) -> "Wake":
        if (self.url is None) == (self.deployment is None):
            raise ValueError("needs exactly one of url and deployment")
        return self


class Backend(_Table):
    """One model on one server."""

    name: str = Field(pattern=VERSION, description="Unique; shown in metrics and logs.")
    url: Address = Field(description="Root of an Ollama server, or address of an OpenAI-compatible one with its /v1.")
    kind: Literal["ollama", "openai"]
    model: str = Field(pattern=NAME, description="The name by which callers ask for the model.")
    served: str = Field(default="", max_length=200, description="The model's name on this server; by default `model`.")
    version: VersionName = "1"
    weight: float = Field(default=1.0, gt=0, le=1000, description="Capacity relative to other servers of a version.")
    concurrency: int = Field(default=4, ge=1, le=10_000, description="Most requests at once.")
    key_variable: str | None = Field(
        default=None, pattern=r"^[A-Z][A-Z0-9_]*$", description="Environment variable that holds the server's key."
    )
    health: str = Field(
        default="", pattern=r"^(/[^\s?#]*)?$", max_length=200, description="Path, from the root, that answers 2xx."
    )
    wake: Wake | None = None
    stream_usage: bool = Field(default=True, description="Whether the server knows stream_options.include_usage.")

    @property
    def base(self) -> str:
        return str(self.url).rstrip("/")

    @property
    def served_as(self) -> str:
        return self.served or self.model


class Shadow(_Table):
    """A version that gets copies of requests, whose answers nobody sees."""

    version: VersionName
    share: float = Field(gt=0, le=1, description="Share of requests that are copied.")
    at_once: int = Field(default=4, ge=1, le=1000, description="Most copies at once; others are left out.")


class Model(_Table):
    """How requests for one model are treated. A model that only backends name has the defaults."""

    name: str = Field(pattern=NAME)
    versions: dict[VersionName, Share] = Field(
        default_factory=dict, description="Share of each version; by default the only version has all of it."
    )
    draining: frozenset[VersionName] = Field(default=frozenset(), description="Versions that get no new requests.")
    shadow: Shadow | None = None
    prompt_price: float = Field(default=0.0, ge=0, description="Money per million prompt tokens.")
    completion_price: float = Field(default=0.0, ge=0, description="Money per million completion tokens.")
    queue: int = Field(default=64, ge=0, le=10_000, description="Most requests that wait; further ones get 429.")
    times: Times | None = None


class TeamLimits(_Table):
    """What one team may use. Unset: any amount."""

    tokens_per_minute: int | None = Field(default=None, ge=1, le=10**12)
    money_per_day: float | None = Field(default=None, ge=0, le=1e9, description="Until midnight UTC.")


class Access(_Table):
    mode: Literal["token", "open"] = Field(
        default="token", description="token: a team's API token; open: anybody, for the default team, on loopback only."
    )


class ProxyConfig(_Table):
    backends: tuple[Backend, ...] = Field(min_length=1, max_length=MOST_BACKENDS)
    models: tuple[Model, ...] = ()
    teams: dict[str, TeamLimits] = Field(default_factory=dict, description="By team name.")
    other_teams: TeamLimits = TeamLimits()
    times: Times = Times()
    access: Access = Access()
    tries: int = Field(default=3, ge=1, le=10, description="Most servers tried for one request.")
    most_body_bytes: int = Field(default=16 << 20, ge=1024, le=256 << 20)
    most_answer_bytes: int = Field(default=64 << 20, ge=1024, le=1 << 30)
    grace_seconds: Seconds = Field(default=30.0, description="Time for open requests at shutdown.")

    @model_validator(mode="after")
    def _consistent(self) -> "ProxyConfig":
        _unique("backends", (one.name for one in self.backends))
        _unique("models", (one.name for one in self.models))
        offered: dict[str, set[str]] = {}
        for backend in self.backends:
            offered.setdefault(backend.model, set()).add(backend.version)
        for model in self.models:
            _check_model(model, offered.get(model.name, set()))
        for name, versions in offered.items():
            if len(versions) > 1 and not self.model(name).versions:
                shares = ", ".join(f'"{one}" = 1' for one in sorted(versions))
                raise ValueError(
                    f"model {name!r} has {len(versions)} versions and no shares: add [[models]] with name = "
                    f'"{name}" and versions = {{ {shares} }}'
                )
        return self

    def model(self, name: str) -> Model:
        """The model's settings, or the defaults."""
        return next((one for one in self.models if one.name == name), Model(name=name))

    @property
    def names(self) -> list[str]:
        """The models, in the order of their first backends."""
        return list(dict.fromkeys(one.model for one in self.backends))

    def limits(self, team: str) -> TeamLimits:
        folded = {name.lower(): limits for name, limits in self.teams.items()}
        return folded.get(team.lower(), self.other_teams)


def _unique(where: str, names: Any) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{where}: the name {twice[0]!r} occurs twice: names are unique")


def _check_model(model: Model, offered: set[str]) -> None:
    where = f"models: {model.name!r}"
    if not offered:
        raise ValueError(f"{where} has no backend: add one with this model, or remove the model")
    named = {"versions": set(model.versions), "draining": set(model.draining)}
    if model.shadow:
        named["shadow.version"] = {model.shadow.version}
    for field, versions in named.items():
        if unknown := sorted(versions - offered):
            have = ", ".join(sorted(offered))
            raise ValueError(f"{where}: {field} names version {unknown[0]!r}, which no backend has (they have {have})")
    if model.versions and not any(share > 0 for share in model.versions.values()):
        raise ValueError(f"{where}: versions: no version has a share above 0")
    if model.shadow and model.shadow.version in model.draining:
        raise ValueError(f"{where}: shadow.version {model.shadow.version!r} is draining: remove one of the two")


def read_config(file: Path) -> ProxyConfig:
    """Raises `ProxyConfigError`."""
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProxyConfigError(
            f"{file} does not exist: list the model servers there, as docs/model-proxy.md shows"
        ) from None
    except OSError as error:
        raise ProxyConfigError(f"{file} cannot be read ({error.strerror}): make it a file this user may read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProxyConfigError(f"{file} is not valid TOML: {error}. Correct that line") from None
    try:
        return ProxyConfig.model_validate(raw)
    except ValidationError as error:
        raise ProxyConfigError(f"{file}: {_explained(error.errors(include_url=False)[0], raw)}") from None


def _explained(first: Any, raw: dict[str, Any]) -> str:
    """What is wrong, with the name of the backend or model beside its number."""
    where = ""
    at: Any = raw
    for part in first["loc"]:
        at = at[part] if isinstance(at, dict) and part in at else at[part] if isinstance(part, int) else {}
        if isinstance(part, int):
            name = at.get("name") if isinstance(at, dict) else None
            where += f"[{part + 1}]" + (f" ({str(name)[:60]})" if name else "")
        else:
            where += f".{part}" if where else str(part)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = _fields(first["loc"][:-1])
        near = nearest(str(first["loc"][-1]), known)
        meant = f"did you mean {near.lower()}?" if near else f"known are {', '.join(known)}"
        message = f"unknown field; {meant}"
    elif first["type"] == "missing":
        message = "is missing: add it"
    return f"{where}: {message}" if where else str(message)


def _fields(place: tuple[Any, ...]) -> list[str]:
    """The fields that are known at a place of the file."""
    tables: dict[str, type[_Table]] = {
        "backends": Backend, "models": Model, "shadow": Shadow, "wake": Wake, "deployment": Deployment,
        "teams": TeamLimits, "other_teams": TeamLimits, "times": Times, "access": Access,
    }  # fmt: skip
    named = [part for part in place if part in tables]
    return list((tables[named[-1]] if named else ProxyConfig).model_fields)
