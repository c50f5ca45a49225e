"""The platform's own secrets: an API token and webhook secrets of each kind.

Secrets given in settings are used unchanged. The others are generated at the first start, in files that only their
owner can read, and reused by every later process. Not for secrets of other systems (forges, models).
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings
from core.signatures import SIGNING, standard_key

API_TOKEN = "api-token"  # noqa: S105  names of files
GITHUB_SECRET = "github-webhook-secret"  # noqa: S105
GENERIC_SECRET = "generic-webhook-secret"  # noqa: S105
GITLAB_SECRET = "gitlab-webhook-secret"  # noqa: S105
GITEA_SECRET = "gitea-webhook-secret"  # noqa: S105
BITBUCKET_SECRET = "bitbucket-webhook-secret"  # noqa: S105
JIRA_SECRET = "jira-webhook-secret"  # noqa: S105
LINEAR_SECRET = "linear-webhook-secret"  # noqa: S105

TOKEN_PREFIX = "pst_"  # noqa: S105
_FIRST_TOKEN = "first start"  # noqa: S105
_MAX_BYTES = 4096


class CredentialsError(RuntimeError):
    """A secret cannot be used; the message names the file or setting and what to do."""


@dataclass(frozen=True)
class Credentials:
    """The secrets in effect. Of several webhook secrets, the first one signs."""

    api_token: str = field(repr=False)
    github_secrets: tuple[str, ...] = field(repr=False)
    generic_secrets: tuple[str, ...] = field(repr=False)
    gitlab_secrets: tuple[str, ...] = field(default=(), repr=False)
    gitea_secrets: tuple[str, ...] = field(default=(), repr=False)
    bitbucket_secrets: tuple[str, ...] = field(default=(), repr=False)
    jira_secrets: tuple[str, ...] = field(default=(), repr=False)
    linear_secrets: tuple[str, ...] = field(default=(), repr=False)
    slack_secrets: tuple[str, ...] = field(default=(), repr=False)


def ensure_secrets(settings: Settings, database: Database) -> Credentials:
    """Generates missing secrets, stores the API token's hash in the database, and returns the secrets in effect.

    Safe to repeat, and to call from several processes simultaneously. Raises `CredentialsError`, or
    `psycopg.OperationalError` when the database cannot be reached.
    """
    credentials = load_or_make(settings)
    register_token(database, credentials)
    return credentials


def load_or_make(settings: Settings) -> Credentials:
    """`ensure_secrets` without the database: settings and files only. Raises `CredentialsError`."""
    folder = settings.secrets_folder
    return Credentials(
        api_token=_from_file(folder / API_TOKEN, lambda: TOKEN_PREFIX + secrets.token_urlsafe(32)),
        github_secrets=_from_setting("github_webhook_secret", settings.github_webhook_secret)
        or (_from_file(folder / GITHUB_SECRET, lambda: secrets.token_hex(32)),),
        generic_secrets=_checked(
            _from_setting("generic_webhook_secret", settings.generic_webhook_secret)
            or (_from_file(folder / GENERIC_SECRET, new_standard_secret),)
        ),
        gitlab_secrets=_checked(
            _from_setting("gitlab_webhook_secret", settings.gitlab_webhook_secret)
            or (_from_file(folder / GITLAB_SECRET, lambda: secrets.token_hex(32)),),
            "gitlab_webhook_secret",
            SIGNING,
        ),
        gitea_secrets=_from_setting("gitea_webhook_secret", settings.gitea_webhook_secret)
        or (_from_file(folder / GITEA_SECRET, lambda: secrets.token_hex(32)),),
        bitbucket_secrets=_from_setting("bitbucket_webhook_secret", settings.bitbucket_webhook_secret)
        or (_from_file(folder / BITBUCKET_SECRET, lambda: secrets.token_hex(32)),),
        jira_secrets=_from_setting("jira_webhook_secret", settings.jira_webhook_secret)
        or (_from_file(folder / JIRA_SECRET, lambda: secrets.token_hex(32)),),
        linear_secrets=_from_setting("linear_webhook_secret", settings.linear_webhook_secret)
        or (_from_file(folder / LINEAR_SECRET, lambda: secrets.token_hex(32)),),
        slack_secrets=_from_setting("slack_signing_secret", settings.slack_signing_secret),  # only Slack makes one
    )


def register_token(database: Database, credentials: Credentials) -> None:
    """Stores the API token's hash for the default team, once, with the role `admin`. One that was revoked stays so."""
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO api_tokens (team_id, token_sha256, name, role) VALUES (%s, %s, %s, 'admin') "
            "ON CONFLICT DO NOTHING",
            (DEFAULT_TEAM, token_hash(credentials.api_token), _FIRST_TOKEN),
        )


def token_hash(token: str) -> bytes:
    """The form in which the database stores a token. Tokens are 256 random bits, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def _from_setting(name: str, value: SecretStr | None) -> tuple[str, ...]:
    if value is None:
        return ()
    found = tuple(part.strip() for part in value.get_secret_value().split(",") if part.strip())
    if not found:
        raise CredentialsError(f"setting {name!r} is empty: give a secret, or unset it to have one generated")
    return found


def _checked(found: tuple[str, ...], setting: str = "generic_webhook_secret", prefix: str = "") -> tuple[str, ...]:
    """Raises `CredentialsError` unless every secret with this prefix is a Standard Webhooks key."""
    for secret in found:
        if secret.startswith(prefix):
            try:
                standard_key(secret)
            except ValueError as error:
                raise CredentialsError(f"setting {setting!r}: {error}") from error
    return found


def new_standard_secret() -> str:
    """A new Standard Webhooks secret."""
    import base64

    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _from_file(path: Path, make: Callable[[], str]) -> str:
    try:
        return read_private(path)
    except FileNotFoundError:
        try:
            _make(path, make())
        except OSError as error:
            raise CredentialsError(
                f"no secret can be written to {path} ({error.strerror}): make the folder writable, or set it"
            ) from error
        return read_private(path)


def _make(path: Path, secret: str) -> None:
    """Writes the file under another name and links it into place, so that no process ever reads a partial
    one. The first of several processes wins, and the others read what it wrote."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return
    finally:
        temporary.unlink()


def read_private(path: Path) -> str:
    """The text of a file that only its owner can read. Raises `FileNotFoundError`, and `CredentialsError` for any other
    file, or an empty one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read ({error.strerror}): it must be a file that you own") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise CredentialsError(
                f"{path} can be read by others: run `chmod 600 {path}`, or delete it to have a new one generated"
            )
        raw = file.read(_MAX_BYTES + 1)
    try:
        secret = raw.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise CredentialsError(f"{path} is not text: delete it to have a new one generated") from error
    if not secret or len(raw) > _MAX_BYTES:
        raise CredentialsError(f"{path} is empty or too long: delete it to have a new one generated")
    return secret
