"""Settings. In order of precedence: `PENSTOCK_*` environment variables, one TOML file, promoted and built-in defaults.

A secret can also be in a file of its own, which `PENSTOCK_X_FILE` names. Each field documents itself; `penstock doctor`
prints all of them with their origin, secrets masked. Not for per-repository settings (`penstock.toml` in a repository),
which belong to the executions stage.
"""

import hashlib
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from core.access.grants import is_safe_address, split_grants
from core.backlog import Backlog
from core.commit_author import DEFAULT_AUTHOR, parse_identity, shown
from core.defaults import DefaultsError, promoted_values
from core.engine_rules import DEFAULT_RULES, read_engine_rules
from core.mail_addresses import check_mail_address, is_mail_server
from core.rules import Rules, read_rules, split_rules
from core.secret_files import SUFFIX, SecretFileError, read_secret, secret_file
from core.signatures import SIGNING, standard_key
from core.ticket_statuses import read_statuses

PREFIX = "PENSTOCK_"
SLOWER = 2.0
"""How many times as long searches may take with a new embedding model before an operator decides about the cut-over."""


class SettingsError(ValueError):
    """A setting is wrong; the message names it, where it came from and what is allowed."""


def _default_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "penstock"


def _home_from_environment() -> Path:
    raw = os.environ.get(f"{PREFIX}HOME")
    return Path(raw).expanduser().absolute() if raw else _default_home()


def settings_file() -> Path:
    """The TOML file that is read: `PENSTOCK_CONFIG`, else `settings.toml` in the home folder."""
    named = os.environ.get(f"{PREFIX}CONFIG")
    return Path(named).expanduser() if named else _home_from_environment() / "settings.toml"


class _PromotedSource(PydanticBaseSettingsSource):
    """Values that evals promoted (`core.defaults`), from the home folder that the sources before this one name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        home = self.current_state.get("home")
        return dict(promoted_values(Path(home).expanduser().absolute() if home else _default_home()))


class _SecretFiles(PydanticBaseSettingsSource):
    """Secrets in files that the environment names (`core.secret_files`)."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = ((name, read_secret(name, PREFIX)) for name in secret_names())
        return {name: secret for name, secret in found if secret is not None}


MIN_CALLBACK_KEY = 16
"""Bytes; Standard Webhooks asks for 24 to 64."""
PROTECTED_PATHS = (
    *(".github/*", ".gitlab-ci.yml", ".gitlab/*", ".gitea/*", ".forgejo/*", ".circleci/*", ".buildkite/*"),
    *(".woodpecker*", ".drone.yml", ".travis.yml", "azure-pipelines*", "bitbucket-pipelines.yml", ".bitbucket/*"),
    *("appveyor.yml", "Jenkinsfile*", "*/Jenkinsfile*", "CODEOWNERS", "*/CODEOWNERS", "penstock.toml"),
)
"""What runs with a repository's secrets, decides who must review, or is run by Penstock itself."""
LANGUAGES = ("go", "javascript", "rust", "java", "c")
"""Languages other than Python whose package registries can be set."""


class Settings(BaseSettings):
    """Every setting of the platform. `load_settings` makes one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    home: Path = Field(default_factory=_default_home, description="Folder for state, secrets and logs.")
    cache: Path = Field(
        default_factory=lambda: Path("~/.cache/penstock").expanduser(),
        description="Folder for what set-up downloads or builds (runsc, Kafka).",
    )
    team: str = Field(
        default="default", description="Team that commands act for, unless their option --team names another."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="URL of a PostgreSQL >= 16 with pgvector, as the runtime login. Unset: the embedded server.",
    )
    database_owner_url: SecretStr | None = Field(
        default=None,
        description="URL of the same database as the owner of its tables, for schema set-up and vector indexes.",
    )
    dagster_database_url: SecretStr | None = Field(
        default=None,
        description="URL of Dagster's own database. Unset: <name>_dagster on the same server.",
    )
    backup_database_url: SecretStr | None = Field(
        default=None,
        description="URL of the same database for a superuser, with which `penstock backup` and `penstock restore` see "
        "the rows of all teams. Unset: database_owner_url.",
    )
    event_log: Literal["postgres", "kafka"] = Field(default="postgres", description="Event log that consumers read.")
    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, host:port,host:port.")
    kafka_partitions: int = Field(default=3, ge=1, le=256, description="Partitions of each topic that set-up creates.")
    kafka_replication: int = Field(default=1, ge=1, le=9, description="Replicas of each topic that set-up creates.")
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="Security protocol of Kafka: plaintext, ssl, sasl_plaintext or sasl_ssl."
    )
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism for Kafka, with sasl_ssl or sasl_plaintext."
    )
    kafka_user: str | None = Field(default=None, description="User name for Kafka, with sasl_ssl or sasl_plaintext.")
    kafka_password: SecretStr | None = Field(default=None, description="Password of kafka_user.")
    kafka_ca: Path | None = Field(
        default=None, description="PEM file of the CAs that sign Kafka brokers' certificates. Unset: the system's."
    )
    kafka_certificate: Path | None = Field(
        default=None, description="PEM file of the client certificate, for Kafka brokers that require one."
    )
    kafka_key: Path | None = Field(default=None, description="PEM file of the private key of kafka_certificate.")
    kafka_key_password: SecretStr | None = Field(default=None, description="Password of kafka_key.")
    gateway_host: str = Field(default="127.0.0.1", description="Address the gateway listens on.")
    gateway_port: int = Field(default=8420, ge=0, le=65535, description="Port the gateway listens on.")
    dagster_host: str = Field(
        default="127.0.0.1", description="Address of the Dagster webserver. It has no authentication."
    )
    dagster_port: int = Field(default=3420, ge=0, le=65535, description="Port of the Dagster webserver.")
    model_proxy_host: str = Field(
        default="127.0.0.1", description="Address the proxy of model servers listens on (`penstock model-proxy`)."
    )
    model_proxy_port: int = Field(
        default=8430, ge=0, le=65535, description="Port the proxy of model servers listens on."
    )
    model_proxy_config: Path | None = Field(
        default=None, description="File that lists the model servers of the proxy. Unset: <home>/model-proxy.toml."
    )
    object_node_host: str = Field(
        default="127.0.0.1", description="Address that nodes of durable objects listen on (`penstock object node`)."
    )
    object_node_port: int = Field(default=0, ge=0, le=65535, description="Port of an object node. 0: a free one.")
    object_node_advertise: str | None = Field(
        default=None, description="Host by which other processes reach an object node. Unset: object_node_host."
    )
    object_lease_seconds: float = Field(
        default=5.0,
        ge=1,
        le=300,
        description="Lease of an object node: so long after it is lost, others take over what it ran.",
    )
    object_hibernate_seconds: float = Field(
        default=60.0, ge=1, le=86_400, description="Time without a call after which an object leaves memory."
    )
    max_body_bytes: int = Field(
        default=25 << 20,
        ge=1024,
        le=25 << 20,
        description="Largest request body the gateway reads, in bytes. GitHub sends up to 25 MiB.",
    )
    github_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret of GitHub webhooks; several, for rotation, separated by commas. Unset: the first start "
        "generates one in <home>/secrets.",
    )
    generic_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Standard Webhooks secrets (whsec_...), separated by commas. Unset: generated at the first start.",
    )
    gitlab_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret tokens of GitLab webhooks, or their signing tokens (whsec_...), separated by commas. "
        "Unset: generated at the first start.",
    )
    gitea_webhook_secret: SecretStr | None = Field(
        default=None, description="Secrets of Gitea webhooks, separated by commas. Unset: generated at the first start."
    )
    bitbucket_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secrets of Bitbucket webhooks, separated by commas. Unset: generated at the first start.",
    )
    jira_webhook_secret: SecretStr | None = Field(
        default=None, description="Secrets of Jira webhooks, separated by commas. Unset: generated at the first start."
    )
    linear_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signing secrets of Linear's webhooks, separated by commas. Unset: generated at the first start.",
    )
    slack_signing_secret: SecretStr | None = Field(
        default=None,
        description="Signing secrets of the Slack app, separated by commas. Unset: no requests of Slack are accepted.",
    )
    github_token: SecretStr | None = Field(
        default=None, description="Token for GitHub: reads tickets and publishes results."
    )
    github_app_id: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9.]{1,40}$", description="GitHub App to publish as, in place of a token."
    )
    github_app_key: Path | None = Field(default=None, description="PEM file of the private key of github_app_id.")
    gitlab_token: SecretStr | None = Field(
        default=None, description="Token for GitLab: reads tickets and publishes results."
    )
    gitea_token: SecretStr | None = Field(
        default=None, description="Token for Gitea: reads tickets and publishes results."
    )
    bitbucket_token: SecretStr | None = Field(
        default=None,
        description="Token for Bitbucket Cloud: an access token, or user@example.org:TOKEN for an API token of a user. "
        "Reads pull requests and publishes results.",
    )
    jira_token: SecretStr | None = Field(
        default=None,
        description="Token for Jira: reads tickets and shows results; user@example.org:TOKEN for Jira Cloud, else a "
        "personal one.",
    )
    linear_token: SecretStr | None = Field(
        default=None, description="Token for Linear: shows results there. A personal API key, or an OAuth token."
    )
    slack_token: SecretStr | None = Field(
        default=None, description="Bot token (xoxb-...) of the Slack app: writes results into threads."
    )
    token_rate: float = Field(
        default=50.0,
        ge=0,
        le=1e6,
        description="Requests a second that one API token, or one person, may make of a gateway process for long; 0: "
        "any number.",
    )
    token_burst: int = Field(
        default=500, ge=1, le=10_000_000, description="Requests that one API token may make at once, after a pause."
    )
    webhook_rate: float = Field(
        default=500.0,
        ge=0,
        le=1e6,
        description="Signed deliveries a second that a gateway process takes for long from one sender of a team "
        "(github, gitlab, gitea, bitbucket, jira, linear, slack, generic); 0: any number.",
    )
    webhook_burst: int = Field(
        default=5000, ge=1, le=10_000_000, description="Deliveries that one sender may make at once, after a pause."
    )
    most_waiting: int = Field(
        default=10_000,
        ge=0,
        le=10_000_000,
        description="Tasks of a team that may wait for a run; what would start more is answered 429. 0: any number.",
    )
    most_waiting_of_source: int = Field(
        default=1000,
        ge=0,
        le=10_000_000,
        description="Tasks of one source that may wait for a run; what would start more is answered 429, while other "
        "sources go on. 0: any number.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        max_length=500,
        description="Issuer of the tokens that people sign in with (OpenID Connect), as its configuration names it. "
        "Unset: only API tokens.",
    )
    oidc_audience: str | None = Field(
        default=None, max_length=500, description="Audience (`aud`) that a token of oidc_issuer must have."
    )
    oidc_groups_claim: str = Field(
        default="groups",
        min_length=1,
        max_length=200,
        description="Claim with a person's groups; a path with dots for one inside another (realm_access.roles).",
    )
    oidc_roles: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        description="Roles of groups, as GROUP=ROLE or GROUP=TEAM/ROLE, separated by commas. Without a team: the "
        "default one.",
    )
    oidc_user_claim: str = Field(
        default="email",
        min_length=1,
        max_length=200,
        description="Claim that names a person, in the audit log and among the users of teams (`penstock user`). "
        "`email` counts only where email_verified is true.",
    )
    publishing: bool = Field(
        default=True, description="Whether results are published at all; while off, they wait with their tasks."
    )
    who_may_start: Literal["writers", "anyone"] = Field(
        default="writers",
        description="Whose issues and labels start work at a forge where results are published: only people who may "
        "write to the repository, or anyone.",
    )
    question_days: float = Field(
        default=7.0,
        ge=0,
        le=365,
        allow_inf_nan=False,
        description="Days that a task waits for an answer when nothing reproduces it and somebody can be asked; then "
        "it ends as unresolved. 0: it ends at once.",
    )
    approval: Literal["none", "drafts", "all"] = Field(
        default="none", description="Which patches are published only after a person's approval."
    )
    protected_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        default=PROTECTED_PATHS,
        description="Patterns separated by commas ('*' matches '/' too): a patch that changes such a path is published "
        "only after a person's approval. The default names the configuration of CI services and code owners.",
    )
    commit_author: str = Field(
        default=shown(DEFAULT_AUTHOR),
        description="Author of published commits, as Name <address>.",
    )
    sign_off: bool = Field(
        default=False, description="Whether published commits end with Signed-off-by of commit_author."
    )
    signing_key: Path | None = Field(
        default=None,
        description="File of an SSH private key without a passphrase, which only this user can read: it signs the "
        "commits that are published. Unset: they are not signed.",
    )
    pull_labels: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Labels of new pull requests, separated by commas."
    )
    forge_write_seconds: float = Field(
        default=1.0, ge=0, le=60, description="Least seconds between two writes to a forge with the same token."
    )
    trigger_label: str | None = Field(
        default=None,
        description="Label that makes an issue start a task: short for labelled:LABEL in start_rules.",
    )
    start_rules: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="What starts a task, separated by semicolons: opened, labelled:NAME, assigned:LOGIN, "
        "mentioned:NAME, command, transition:STATUS, failed:BRANCH, with [REPOSITORY] behind it if it is for some "
        "only. Unset and without a trigger label: each issue opened in a configured source.",
    )
    ticket_statuses: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Statuses that tickets of a tracker get, separated by semicolons: started:STATUS when work begins, "
        "proposed:STATUS when a patch is published, merged:STATUS, each with [PROJECT] behind it if it is for some "
        "only. Unset: tickets are not moved.",
    )
    callback_url: str | None = Field(
        default=None,
        max_length=500,
        description="Address to which each outcome of a task is POSTed, signed by Standard Webhooks: https, or http on "
        "loopback.",
    )
    callback_secret: SecretStr | None = Field(
        default=None,
        description="Standard Webhooks secrets (whsec_...) that sign callbacks, separated by commas: all of them sign.",
    )
    callback_private: bool = Field(
        default=False, description="Whether callback_url may lead to an address that is not public."
    )
    mail_server: SecretStr | None = Field(
        default=None,
        description="Mail server for what needs a person: smtp://[USER:PASSWORD@]HOST[:PORT], with STARTTLS where it "
        "is offered, or smtps://.",
    )
    mail_from: str | None = Field(default=None, max_length=300, description="Sender of that mail.")
    mail_to: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Receivers of that mail, separated by commas."
    )
    sweep_minutes: float = Field(
        default=10.0,
        ge=0,
        le=1440,
        description="Minutes between two sweeps of a source, which find what webhooks did not deliver; 0: no sweeps.",
    )
    allowed_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default_factory=lambda: (Path.home(),),
        description="Folders that may contain local repositories, separated by ':'. The platform's home folder is "
        "always allowed.",
    )
    sandbox: Literal["auto", "gvisor", "bubblewrap", "kubernetes"] = Field(
        default="auto", description="Sandbox backend; auto: gvisor, else bubblewrap, on this machine."
    )
    kubernetes_namespace: str = Field(
        default="penstock-sandboxes",
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        description="Namespace of the pods of the sandbox backend kubernetes, which nothing else uses.",
    )
    kubernetes_image: str = Field(
        default="",
        max_length=500,
        description="Image of the pods, best with its digest (NAME@sha256:...): it needs /bin/sh and tar, and the "
        "tools of repositories.",
    )
    kubernetes_runtime_class: str = Field(
        default="gvisor",
        pattern=r"^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?)?$",
        description="RuntimeClass of the pods; `none` for the cluster's default, whose kernel is the node's.",
    )
    kubernetes_cache_claim: str = Field(
        default="",
        pattern=r"^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?)?$",
        description="PersistentVolumeClaim, in that namespace, of the volume that is mounted at <cache> here: it "
        "brings the environments of repositories to the pods.",
    )
    kubernetes_cpus: float = Field(
        default=1.0, ge=0.1, le=256, description="Processors that each pod requests and may use."
    )
    kubernetes_session_seconds: int = Field(
        default=7200, ge=60, le=604_800, description="Seconds after which Kubernetes ends a pod, whatever it does."
    )
    kubernetes_start_seconds: float = Field(
        default=120.0, ge=1, le=3600, description="Time limit for the start of a pod, in seconds."
    )
    kubernetes_user_namespace: bool = Field(
        default=False,
        description="Whether pods have a user namespace (hostUsers: false). gVisor's runtime handler refuses it.",
    )
    kubernetes_config: Path | None = Field(
        default=None,
        description="kubeconfig file. Unset: the service account of the pod that Penstock runs in, else the usual "
        "file.",
    )
    kubernetes_context: str = Field(
        default="", max_length=253, description="Context of the kubeconfig file. Empty: its current one."
    )
    kubernetes_jobs: Path | None = Field(
        default=None,
        description="YAML file with the resources of single jobs and steps where runs are pods, which the Helm chart "
        "writes. Only its variable is read.",
    )
    environments: Literal["own", "shared"] = Field(
        default="own",
        description="Packages that tests run with: own (what each repository declares, from the package index) or "
        "shared (those installed beside Penstock).",
    )
    environments_gib: float = Field(
        default=10.0, ge=0.1, le=10_000, description="Disk space for cached environments of repositories, in GiB."
    )
    environment_seconds: float = Field(
        default=900.0, ge=10, le=86_400, description="Time limit for making one environment, in seconds."
    )
    package_index: str = Field(
        default="", description="Address of the package index (PEP 503). Unset: the one that uv or pip uses here."
    )
    registry_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Hosts (host or host:port, separated by commas) that packages may be fetched from, beside those of "
        "the package index.",
    )
    registries: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        description="Package registries of languages other than Python, as LANGUAGE=ADDRESS, separated by commas. "
        "Unset: those that the languages' tools use here.",
    )
    embedding_model: str = Field(
        default="wordllama",
        pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$",
        description="Embedding model for `penstock solve` and the first start: wordllama, hashing, or a NAME that is "
        "described in the folder `models`. After the first start the catalogue decides: `penstock models`.",
    )
    models: Path | None = Field(
        default=None,
        description="Folder of model descriptions (NAME/model.toml, NAME/chat.toml). Unset: <cache>/models.",
    )
    embedding_threads: int = Field(
        default=0, ge=0, le=256, description="Cores that a local embedding model uses; 0: all."
    )
    migration_slower: float = Field(
        default=SLOWER,
        ge=1,
        le=1000,
        description="How many times as long searches may take with a new embedding model (95th percentile) before a "
        "migration waits for an operator instead of cutting over.",
    )
    engine: Literal["search", "model", "hybrid", "auto"] = Field(
        default="search",
        description="Engine of tasks that name none: search, model for a chat model, hybrid for both, or auto for what "
        "engine_rules choose.",
    )
    engine_rules: Annotated[tuple[str, ...], NoDecode] = Field(
        default=DEFAULT_RULES,
        description="Which engine auto is, separated by semicolons: ENGINE or ENGINE:CONDITION+CONDITION, the first "
        "that holds. Conditions: failing-test, derived-test, model, no-model, other-language, a language, under-Ns, "
        "over-Ns.",
    )
    chat_model: str | None = Field(
        default=None,
        max_length=200,
        description="Chat model of the engines `model` and `hybrid`: a NAME described in the folder `models`, or "
        "ollama/NAME.",
    )
    chat_steps: int = Field(default=40, ge=1, le=1000, description="Most chat model answers in one attempt.")
    chat_tokens: int = Field(
        default=400_000, ge=1000, le=1 << 30, description="Most chat model tokens, input plus output, in one attempt."
    )
    chat_money: float = Field(
        default=5.0, gt=0, le=1e6, description="Cost limit of the chat model in one attempt, in its prices' currency."
    )
    chat_prompts: str = Field(
        default="v2", pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$", description="Version of the engine `model`'s prompts."
    )
    chat_samples: int = Field(
        default=3, ge=1, le=16, description="Answers to one question for a patch, by the engine `hybrid`."
    )
    research_folders: dict[str, Path] = Field(
        default_factory=dict,
        description="Folders of documents that research tasks of the default team may search, by name, as JSON: "
        '{"handbook": "/srv/handbook"}.',
    )
    research_web: Literal["searxng", "brave", "tavily"] | None = Field(
        default=None, description="The API by which research searches the web; without one it does not."
    )
    research_web_address: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s@]+$",
        max_length=500,
        description="Address of that API; needed for searxng, whose server is yours.",
    )
    research_web_key: SecretStr | None = Field(default=None, description="Key for that API, for brave and tavily.")
    research_scholarly: bool = Field(default=False, description="Whether research may ask Crossref and arXiv.")
    research_seconds: float = Field(
        default=300.0, gt=0, le=86_400, description="Time in which a research question is searched, in seconds."
    )
    slots: int = Field(default=2, ge=1, le=256, description="Most tasks that run at the same time.")
    task_seconds: float = Field(default=120.0, gt=0, le=86_400, description="Time budget of one attempt, in seconds.")
    lease_seconds: float = Field(
        default=30.0, ge=1, le=3600, description="Seconds after which a run that did not renew its lease is relaunched."
    )
    max_claims: int = Field(
        default=5, ge=1, le=100, description="Runs that may claim one attempt; if none brings a result, its task fails."
    )
    run_launcher: Literal["warm", "stock"] = Field(
        default="warm", description="How Dagster starts runs: warm (fork of a warm process) or stock (a new process)."
    )
    keep_runs_days: int = Field(
        default=30, ge=1, le=3650, description="Dagster's runs and their event logs are deleted after this many days."
    )
    keep_events_days: int = Field(
        default=30,
        ge=4,
        le=3650,
        description="Events that consumers have read are deleted from PostgreSQL after this many days. Senders may "
        "repeat a delivery for three days, and a repeat of a deleted event is not recognised.",
    )
    keep_trajectories_days: int = Field(
        default=365,
        ge=7,
        le=3650,
        description="What an attempt did, step by step, is deleted so many days after its task ended. Plans, verdicts, "
        "patches and publications stay.",
    )
    keep_model_requests_days: int = Field(
        default=400,
        ge=2,
        le=3650,
        description="Records of single requests to models, for costs by task, are deleted after this many days.",
    )
    keep_work_days: int = Field(
        default=7,
        ge=1,
        le=3650,
        description="Work folders that killed runs left are deleted after this many days.",
    )
    backup_days: int = Field(
        default=7,
        ge=0,
        le=3650,
        description="Most days between two runs of `penstock backup`, for `penstock doctor --production`. 0: other "
        "tools back the database up.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest severity that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="Format of logs: text, or json with one object per line. The gateway's are always json.",
    )
    thread_cache_url: SecretStr | None = Field(
        default=None,
        description="Valkey or Redis (redis://host:6379/0) in which gateways share pages of threads; each has its own "
        "cache anyway.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="Token that may read the gateway's metrics and nothing else, also while the database is down.",
    )
    metrics_seconds: float = Field(
        default=5.0, ge=0, le=300, description="Seconds for which metrics that were read from the database are reused."
    )
    traces_endpoint: str | None = Field(
        default=None,
        description="URL to which traces are sent by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces. Unset: "
        "no traces.",
    )
    traces_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of traces that are recorded.")

    @field_validator("traces_endpoint")
    @classmethod
    def _is_collector(cls, value: str | None) -> str | None:
        if value is None:
            return None
        found = urlsplit(value)
        if found.scheme not in ("http", "https") or not found.hostname or found.username or len(value) > 2000:
            raise ValueError("must be an http or https URL without a user, such as http://127.0.0.1:4318/v1/traces")
        return value

    @field_validator("thread_cache_url")
    @classmethod
    def _is_a_cache(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "valkey://")):
            raise ValueError("must begin with redis:// or valkey://")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not 16 <= len(value.get_secret_value()) <= 200:
            raise ValueError("must have 16 to 200 characters")
        return value

    @field_validator("database_url", "database_owner_url", "dagster_database_url", "backup_database_url")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("is not a postgresql:// URL")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_address(value):
            raise ValueError("is not an https address (http is allowed on loopback only), or has a query")
        return value

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: Any) -> Any:
        return split_grants(value)

    @model_validator(mode="after")
    def _issuer_is_whole(self) -> "Settings":
        if self.oidc_issuer is not None and not self.oidc_audience:
            raise ValueError("oidc_issuer needs oidc_audience, without which tokens for other services would be taken")
        return self

    @field_validator("callback_url")
    @classmethod
    def _callback(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_address(value):
            raise ValueError("is not an https address (http is allowed on loopback only), or has a login or a query")
        return value

    @field_validator("mail_server")
    @classmethod
    def _smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_mail_server(value.get_secret_value()):
            raise ValueError("is not smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://...")
        return value

    @field_validator("mail_from", "mail_to")
    @classmethod
    def _mail_addresses(cls, value: Any) -> Any:
        for address in (value,) if isinstance(value, str) else value or ():
            check_mail_address(address)
        return value

    @model_validator(mode="after")
    def _mail_is_whole(self) -> "Settings":
        if self.mail_server is not None and not (self.mail_from and self.mail_to):
            raise ValueError("mail_server needs mail_from and mail_to")
        if self.mail_server is None and (self.mail_from or self.mail_to):
            raise ValueError("mail_from and mail_to need mail_server: no mail would be sent")
        return self

    @field_validator("callback_secret")
    @classmethod
    def _callback_keys(cls, value: SecretStr | None) -> SecretStr | None:
        for secret in value.get_secret_value().split(",") if value is not None else ():
            if not secret.strip().startswith(SIGNING):
                raise ValueError("is not a Standard Webhooks secret: whsec_ and base64")
            if len(standard_key(secret.strip())) < MIN_CALLBACK_KEY:
                raise ValueError(f"is too short: whsec_ and base64 of at least {MIN_CALLBACK_KEY} random bytes")
        return value

    @model_validator(mode="after")
    def _callback_is_whole(self) -> "Settings":
        if self.callback_url is not None and self.callback_secret is None:
            raise ValueError("callback_url needs callback_secret, by which its receiver knows that it is Penstock")
        if self.callback_url is None and self.callback_secret is not None:
            raise ValueError("callback_secret needs callback_url: nothing would be called")
        return self

    @field_validator("allowed_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            raise ValueError(
                f"is a list of folders with {os.pathsep!r} between them here, for example /src{os.pathsep}/srv/git"
            )
        return tuple(part for part in value.split(os.pathsep) if part)

    @field_validator("commit_author")
    @classmethod
    def _identity(cls, value: str) -> str:
        parse_identity(value)
        return value

    @field_validator("start_rules", "ticket_statuses", "engine_rules", mode="before")
    @classmethod
    def _split_rules(cls, value: Any) -> Any:
        return split_rules(value) if isinstance(value, str) else value

    @field_validator("start_rules", mode="after")
    @classmethod
    def _readable_rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read_rules(value)
        return value

    @field_validator("engine_rules", mode="after")
    @classmethod
    def _readable_engine_rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read_engine_rules(value)
        return value

    @field_validator("ticket_statuses", mode="after")
    @classmethod
    def _readable_statuses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read_statuses(value)
        return value

    @field_validator("registry_hosts", "protected_paths", "pull_labels", "mail_to", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @field_validator("registries", mode="before")
    @classmethod
    def _split_registries(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        for name, _, address in pairs:
            if name.strip() not in LANGUAGES:
                raise ValueError(f"{name!r} is not one of {', '.join(LANGUAGES)}")
            if not address.startswith(("https://", "http://")):
                raise ValueError(f"{name!r} has no address: write LANGUAGE=https://HOST/PATH")
        return {name.strip(): address.strip() for name, _, address in pairs}

    @field_validator(
        "home",
        "cache",
        "models",
        "model_proxy_config",
        "github_app_key",
        "signing_key",
        "kafka_ca",
        "kafka_certificate",
        "kafka_key",
        "kubernetes_config",
        "kubernetes_jobs",
        mode="after",
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, settings_file())
        return init_settings, env_settings, _SecretFiles(settings_cls), file, _PromotedSource(settings_cls)

    @cached_property
    def roots(self) -> tuple[Path, ...]:
        """`allowed_roots` and the home folder, as resolved paths."""
        return tuple(Path(p).expanduser().resolve() for p in (*self.allowed_roots, self.home))

    @property
    def backlog(self) -> Backlog:
        """How many tasks may wait."""
        return Backlog(self.most_waiting_of_source, self.most_waiting)

    @property
    def rules(self) -> Rules:
        """What starts a task: `start_rules` and `trigger_label`."""
        return read_rules(self.start_rules, self.trigger_label)

    @property
    def models_folder(self) -> Path:
        return self.models or self.cache / "models"

    @property
    def model_proxy_file(self) -> Path:
        return self.model_proxy_config or self.home / "model-proxy.toml"

    @property
    def objects_wanted(self) -> Path:
        """A file that exists once an object was called: from then on the platform runs an object node."""
        return self.home / "objects-wanted"

    @property
    def secrets_folder(self) -> Path:
        return self.home / "secrets"

    @cached_property
    def run_folder(self) -> Path:
        """The folder of sockets and of a running platform's state; only its owner can enter it. Created if missing.

        It is in the home folder, unless that path is too long for the address of a Unix socket (108 bytes).
        Raises `SettingsError` when others can enter it.
        """
        folder = self.home / "run"
        if len(os.fsencode(folder)) > 80:
            digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
            folder = Path(tempfile.gettempdir()) / f"penstock-{os.getuid()}-{digest}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise SettingsError(f"{folder} must be a folder that you own and nobody else can enter: chmod 700 it")
        return folder


def secret_names() -> list[str]:
    """The settings that are secrets."""
    return [name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)]


def load_settings(**overrides: Any) -> Settings:
    """Reads all sources of settings. Raises `SettingsError`, which names the setting, its origin and the remedy."""
    file = settings_file()
    if os.environ.get(f"{PREFIX}CONFIG") and not file.is_file():
        raise SettingsError(f"PENSTOCK_CONFIG names {file}, which is not a file: create it or unset the variable")
    in_file = _read_file(file)
    try:
        return Settings(**overrides)
    except (DefaultsError, SecretFileError) as error:
        raise SettingsError(str(error)) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if not first["loc"]:  # of several settings, which the message names
            raise SettingsError(first["msg"].removeprefix("Value error, ")) from error
        name = str(first["loc"][0])
        raise SettingsError(f"setting {name!r} ({_origin(name, in_file, {})}): {first['msg']}") from error


def bare_settings() -> Settings:
    """The home folder, and otherwise defaults, whatever file and environment say: for what must work on a platform that
    runs while its settings are broken."""
    return Settings.model_construct(home=_home_from_environment())


def _read_file(file: Path) -> dict[str, Any]:
    """The settings in the file; none if there is no file. Raises `SettingsError`."""
    from core.unknown_settings import nearest

    if not file.exists():
        return {}
    try:
        in_file = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}. Correct that line, or move the file away") from error
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read ({error.strerror}): make it a file that this user may read"
        ) from error
    for name in sorted(set(in_file) - set(Settings.model_fields)):
        near = nearest(name, Settings.model_fields)
        meant = f"did you mean {near.lower()}?" if near else "`penstock doctor` without it lists every setting"
        raise SettingsError(f"{file}: unknown setting {name!r}; {meant}")
    return in_file


def _origin(name: str, in_file: dict[str, Any], promoted: Mapping[str, str]) -> str:
    if os.environ.get(f"{PREFIX}{name.upper()}"):
        return f"environment {PREFIX}{name.upper()}"
    if name in secret_names() and (place := secret_file(name, PREFIX)):
        return f"file {place} ({PREFIX}{name.upper()}{SUFFIX})"
    if name in in_file:
        return f"file {settings_file()}"
    return "promoted by evals" if name in promoted else "default"


def given_explicitly(name: str) -> str | None:
    """Where a user has set `name` (environment or file), which overrides a promoted default; None if nowhere."""
    file = settings_file()
    in_file = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    origin = _origin(name, in_file, {})
    return None if origin == "default" else origin


def describe(settings: Settings) -> list[dict[str, str]]:
    """One row for each setting: `name`, `value` (secrets masked), `origin`, `description`."""
    file = settings_file()
    in_file = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    promoted = promoted_values(settings.home)
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            shown = "********"
        elif isinstance(value, tuple):
            shown = ("; " if name in ("start_rules", "engine_rules") else os.pathsep).join(str(part) for part in value)
        else:
            shown = "" if value is None else str(value)
        rows.append(
            {
                "name": name,
                "value": shown,
                "origin": _origin(name, in_file, promoted),
                "description": field.description or "",
            }
        )
    return rows
