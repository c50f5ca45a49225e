"""What of the settings and the machine would hurt in production, each finding with its remedy.

`judge` is a function of the settings and of `Facts`; `gather` asks the machine. Not for what keeps Penstock from
working at all, which `penstock doctor` shows without `--production`.
"""

import ipaddress
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from core.settings import Settings

SHORT_SECRET = 16
"""Characters below which a webhook's secret can be guessed."""
_TIME_ERROR = 5
_CHECKED = ("require", "verify-ca", "verify-full")
WEBHOOK_SECRETS = ("github", "gitlab", "gitea", "bitbucket", "jira", "linear", "generic")


class State(StrEnum):
    """`HURTS` fails the command; `DEGRADED` is better changed, and may be what an operator wants."""

    OK = "ok"
    DEGRADED = "degraded"
    HURTS = "hurts"


@dataclass(frozen=True)
class Finding:
    """`remedy` is what to do about it; empty if `state` is `ok`."""

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Facts:
    """What the checks need to know beside the settings. `clock` is as of adjtimex(2), -1 if not known; `last_backup` is
    None if none is known."""

    unread: tuple[str, ...] = ()
    clock: int = 0
    memory_bounded: bool = True
    gvisor: bool = True
    in_cluster: bool = False
    root: bool = False
    last_backup: datetime | None = None
    open_files: tuple[Path, ...] = ()
    """Files with secrets that others than their owner may read."""
    generated: tuple[str, ...] = ()
    """Senders whose webhook secret was generated in the home folder."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def gather(settings: "Settings", environment: Mapping[str, str]) -> Facts:
    """Asks this machine; opens no network connection."""
    from core.secret_files import secret_file
    from core.settings import PREFIX, secret_names, settings_file
    from core.unknown_settings import unknown_variables
    from dagster_project.cli.machine_checks import clock_state
    from dagster_project.operations.record import last_backup
    from sandbox import backend_named
    from sandbox.memory_group import parent_group

    folder = settings.secrets_folder
    kept = sorted(folder.iterdir()) if folder.is_dir() else []
    in_cluster = bool(environment.get("KUBERNETES_SERVICE_HOST"))
    named = [] if in_cluster else [secret_file(name, PREFIX) for name in secret_names()]  # a cluster mounts its own way
    mine = [*kept, *(path for path in (settings.signing_key, settings.github_app_key, *named) if path)]
    if _holds_a_secret(settings_file(), secret_names()):
        mine.append(settings_file())
    return Facts(
        unread=tuple(unknown_variables(environment)),
        clock=clock_state(),
        memory_bounded=parent_group() is not None,
        gvisor=backend_named("gvisor").available() is None,
        in_cluster=in_cluster,
        root=os.geteuid() == 0,
        last_backup=last_backup(settings.home),
        open_files=tuple(path for path in mine if _others_may_read(path)),
        generated=tuple(
            path.name.removesuffix("-webhook-secret") for path in kept if path.name.endswith("-webhook-secret")
        ),
    )


def judge(settings: "Settings", facts: Facts) -> list[Finding]:
    """Every check, also those that found nothing."""
    found = [
        *_database(settings),
        *_listening(settings, facts),
        *_secrets(settings, facts),
        *_sandbox(settings, facts),
        *_log(settings),
        *_work(settings),
        *_machine(settings, facts),
    ]
    return sorted(found, key=lambda one: list(State)[::-1].index(one.state))


def _finding(name: str, state: State | None, bad: str, remedy: str, good: str) -> Finding:
    return Finding(name, state, bad, remedy) if state else Finding(name, State.OK, good)


def _database(settings: "Settings") -> Iterator[Finding]:
    from psycopg.conninfo import conninfo_to_dict

    url = settings.database_url
    yield _finding(
        "database",
        State.HURTS if url is None else None,
        "the embedded PostgreSQL is on this machine's disk alone, without replicas or point-in-time recovery",
        "set PENSTOCK_DATABASE_URL to a PostgreSQL server of your own: docs/production.md, step 2",
        "a server of your own",
    )
    if url is None:
        return
    owner = settings.database_owner_url
    here = conninfo_to_dict(url.get_secret_value())
    hosts = str(here.get("host") or "").split(",")
    far = any(host and not host.startswith("/") and not is_loopback(host) for host in hosts)
    yield _finding(
        "database connection",
        State.HURTS if far and here.get("sslmode") not in _CHECKED else None,
        "rows and the password may cross the network unencrypted, since sslmode requires no TLS",
        "add ?sslmode=verify-full to PENSTOCK_DATABASE_URL, PENSTOCK_DATABASE_OWNER_URL and, if set, "
        "PENSTOCK_DAGSTER_DATABASE_URL",
        "encrypted" if far else "does not leave this machine",
    )
    same = owner is not None and conninfo_to_dict(owner.get_secret_value()).get("user") == here.get("user")
    yield _finding(
        "database roles",
        State.HURTS if same else State.DEGRADED if owner is None else None,
        "the runtime login owns the tables, so a fault in one process can undo the protection of teams' rows"
        if same
        else "no owner is known: new versions cannot change the schema, and no vector index is built",
        "set PENSTOCK_DATABASE_OWNER_URL to the owner of the tables, another role than the runtime login",
        "the runtime login is not the owner",
    )


def _listening(settings: "Settings", facts: Facts) -> Iterator[Finding]:
    for name, host, port, why, remedy in (
        (
            "gateway",
            settings.gateway_host,
            settings.gateway_port,
            "speaks http without TLS, so tokens and webhooks can be read on the way",
            "set PENSTOCK_GATEWAY_HOST=127.0.0.1 and put a proxy with TLS before it: docs/production.md, step 4",
        ),
        (
            "dagster",
            settings.dagster_host,
            settings.dagster_port,
            "has no login: whoever reaches it can start and end runs",
            "set PENSTOCK_DAGSTER_HOST=127.0.0.1, and reach it by ssh -L or a proxy with a login",
        ),
        (
            "model proxy",
            settings.model_proxy_host,
            settings.model_proxy_port,
            "speaks http without TLS, so prompts and tokens can be read on the way",
            "set PENSTOCK_MODEL_PROXY_HOST=127.0.0.1, or put a proxy with TLS before it",
        ),
    ):
        open_to_others = not is_loopback(host)
        state = (State.DEGRADED if facts.in_cluster else State.HURTS) if open_to_others else None
        where = f"{host}:{port}"
        yield _finding(
            name,
            state,
            f"listens on {where} and {why}",
            "keep the chart's network policies, and end TLS at an ingress" if facts.in_cluster else remedy,
            f"listens on {where} only",
        )


def _secrets(settings: "Settings", facts: Facts) -> Iterator[Finding]:
    short = [
        f"PENSTOCK_{name.upper()}_WEBHOOK_SECRET"
        for name in WEBHOOK_SECRETS
        if (value := getattr(settings, f"{name}_webhook_secret")) is not None and _shortest(value) < SHORT_SECRET
    ]
    yield _finding(
        "webhook secrets",
        State.HURTS if short else State.DEGRADED if facts.generated else None,
        f"{', '.join(short)} can be guessed: fewer than {SHORT_SECRET} characters"
        if short
        else f"those of {', '.join(facts.generated)} are only in the home folder: without it, senders are refused",
        "make new ones (openssl rand -hex 32) and give them to their senders"
        if short
        else "keep them in your secret store and set PENSTOCK_..._WEBHOOK_SECRET_FILE, or back them up",
        "none is short or kept in the home folder alone",
    )
    yield _finding(
        "slack secret",
        State.HURTS if settings.slack_token is not None and settings.slack_signing_secret is None else None,
        "slack_token is set without slack_signing_secret, so no request of Slack is accepted",
        "set PENSTOCK_SLACK_SIGNING_SECRET: docs/slack.md",
        "set" if settings.slack_signing_secret is not None else "Slack is not used",
    )
    yield _finding(
        "secret files",
        State.HURTS if facts.open_files else None,
        f"others may read {', '.join(str(path) for path in facts.open_files[:3])}",
        "chmod 600 them",
        "only their owner can read them",
    )
    yield _finding(
        "notices",
        State.DEGRADED if settings.callback_url is None and settings.mail_server is None else None,
        "nobody is told of outcomes and questions: neither a callback nor mail is set",
        "set PENSTOCK_CALLBACK_URL with PENSTOCK_CALLBACK_SECRET, or PENSTOCK_MAIL_SERVER: docs/notices.md",
        "outcomes are told",
    )
    yield _finding(
        "metrics token",
        State.DEGRADED if settings.metrics_token is None else None,
        "metrics can only be read with a team's token, and not while the database is down",
        "set PENSTOCK_METRICS_TOKEN_FILE, and give the token to Prometheus",
        "set",
    )


def _sandbox(settings: "Settings", facts: Facts) -> Iterator[Finding]:
    remote = settings.sandbox == "kubernetes"
    weak = settings.sandbox == "bubblewrap" or (settings.sandbox == "auto" and not facts.gvisor)
    state: State | None = None
    bad = remedy = ""
    if remote and not settings.kubernetes_runtime_class:
        state, bad = State.HURTS, "pods share the node's kernel with what they run, since no runtime class is set"
        remedy = "set PENSTOCK_KUBERNETES_RUNTIME_CLASS=gvisor"
    elif weak:
        state, bad = State.HURTS, "repositories' tests share this machine's kernel (bubblewrap)"
        remedy = "install gVisor (deploy/dev/gvisor.sh) and set PENSTOCK_SANDBOX=gvisor: docs/sandbox.md"
    elif settings.sandbox == "auto":
        state, bad = State.DEGRADED, "if gVisor stops working, bubblewrap takes its place without a word"
        remedy = "set PENSTOCK_SANDBOX=gvisor"
    yield _finding("sandbox", state, bad, remedy, settings.sandbox)
    yield _finding(
        "sandbox memory",
        State.HURTS if not remote and not facts.memory_bounded else None,
        "limits are watched and not held by the kernel, so a burst can take the machine's memory before it is seen",
        "run Penstock where it may make cgroups: `penstock service install`, or Delegate=yes in its unit",
        "bounded by the kernel",
    )


def _log(settings: "Settings") -> Iterator[Finding]:
    if settings.event_log != "kafka":
        return
    replicas = settings.kafka_replication
    yield _finding(
        "kafka replication",
        State.HURTS if replicas < 2 else State.DEGRADED if replicas < 3 else None,
        f"topics that set-up creates have {replicas} replica(s): losing a broker's disk "
        + ("loses events" if replicas < 2 else "leaves one"),
        "set PENSTOCK_KAFKA_REPLICATION=3, raise existing topics with kafka-reassign-partitions, min.insync.replicas=2",
        f"{replicas} replicas",
    )
    hosts = [part.rsplit(":", 1)[0].strip("[] ") for part in settings.kafka_bootstrap.split(",")]
    clear = settings.kafka_security in ("plaintext", "sasl_plaintext") and not all(is_loopback(host) for host in hosts)
    yield _finding(
        "kafka connection",
        State.HURTS if clear else None,
        f"events cross the network unencrypted ({settings.kafka_security})",
        "set PENSTOCK_KAFKA_SECURITY=sasl_ssl: docs/event-log.md",
        settings.kafka_security,
    )


def _work(settings: "Settings") -> Iterator[Finding]:
    yield _finding(
        "who may start",
        State.DEGRADED if settings.who_may_start == "anyone" and settings.approval == "none" else None,
        "anybody's issue starts work, and its patch is published without a person's approval",
        "set PENSTOCK_WHO_MAY_START=writers, or PENSTOCK_APPROVAL=all",
        f"{settings.who_may_start}; approval: {settings.approval}",
    )
    unlimited = [
        f"PENSTOCK_{name.upper()}"
        for name in ("token_rate", "webhook_rate", "most_waiting", "most_waiting_of_source")
        if getattr(settings, name) == 0
    ]
    yield _finding(
        "limits",
        State.DEGRADED if unlimited else None,
        f"without a limit: {', '.join(unlimited)}; one sender can fill the queue of all",
        "set them to numbers above 0",
        "requests and the queue are limited",
    )
    clear = [
        address
        for address in (settings.package_index, *settings.registries.values())
        if address.startswith("http://") and not is_loopback(urlsplit(address).hostname or "")
    ]
    yield _finding(
        "package indexes",
        State.HURTS if clear else None,
        f"{len(clear)} is read over http without TLS, so packages can be changed on the way",
        "use https in PENSTOCK_PACKAGE_INDEX and PENSTOCK_REGISTRIES",
        "https, or none is set",
    )
    yield _finding(
        "publishing",
        None if settings.publishing else State.DEGRADED,
        "results wait and are not published",
        "set PENSTOCK_PUBLISHING=true",
        "results are published",
    )


def _machine(settings: "Settings", facts: Facts) -> Iterator[Finding]:
    days, last = settings.backup_days, facts.last_backup
    old = last is None or facts.now - last > timedelta(days=days)
    when = "no backup of this home is known" if last is None else f"the last backup is of {last:%Y-%m-%d %H:%M} UTC"
    yield _finding(
        "backup",
        State.HURTS if days and old else None,
        f"{when}, and there should be one every {days} days",
        "run `penstock backup FILE` from a timer, and keep the file elsewhere; PENSTOCK_BACKUP_DAYS=0 if other tools "
        "back the database up",
        when if days else "not looked at (PENSTOCK_BACKUP_DAYS=0)",
    )
    yield _finding(
        "unread settings",
        State.HURTS if facts.unread else None,
        "; ".join(facts.unread[:3]),
        "correct or unset them: what they should set is not in force",
        "every PENSTOCK_ variable is read",
    )
    yield _finding(
        "clock",
        State.HURTS if facts.clock == _TIME_ERROR else State.DEGRADED if facts.clock < 0 else None,
        "nothing keeps the clock right: once it is minutes off, signatures of webhooks are refused"
        if facts.clock == _TIME_ERROR
        else "whether anything keeps the clock right cannot be asked here",
        "run a time service (systemd-timesyncd, chrony) on this machine or its host",
        "it is kept right",
    )
    yield _finding(
        "user",
        State.DEGRADED if facts.root and not facts.in_cluster else None,
        "Penstock runs as root",
        "run it as an account that owns nothing else",
        "not root",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shortest(secret: SecretStr) -> int:
    return min(len(part.strip()) for part in secret.get_secret_value().split(","))


def _others_may_read(path: Path) -> bool:
    try:
        return path.is_file() and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False


def _holds_a_secret(file: Path, names: list[str]) -> bool:
    try:
        return bool(set(tomllib.loads(file.read_text(encoding="utf-8"))) & set(names))
    except (OSError, ValueError):
        return False
