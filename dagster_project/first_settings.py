"""What `penstock init` decides from three answers: the first `settings.toml`, names of sources, and what a forge's
webhook needs. Asks nothing and prints nothing.
"""

import json
import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.git import is_repository, is_url, split_credential

MOST_REPOSITORIES = 50
MOST_ENTRIES = 2_000
"""Entries of a folder among which repositories are looked for."""
ENGINES = ("search", "model", "hybrid", "auto")
FORGES = ("github", "gitlab", "gitea", "bitbucket", "none")
_HOSTS = {
    "github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea", "gitea.com": "gitea",
    "bitbucket.org": "bitbucket",
}  # fmt: skip


class CannotBegin(ValueError):
    """An answer cannot be used, or the file is there already; the message says what to do."""


@dataclass(frozen=True)
class Hook:
    """How a forge's webhook is made: where, and its fields by the names that the forge's page shows."""

    title: str
    place: str
    address_field: str
    content_type: str
    secret_field: str
    events: str


HOOKS = {
    "github": Hook(
        "GitHub",
        "the repository's or organisation's Settings > Webhooks > Add webhook",
        "Payload URL",
        "application/json",
        "Secret",
        "Let me select individual events: Check suites, Issue comments, Issues, Pull request review comments, "
        "Pull request reviews, Pull requests, Pushes, Repositories, Statuses",
    ),
    "gitlab": Hook(
        "GitLab",
        "the project's or group's Settings > Webhooks > Add new webhook",
        "URL",
        "",
        "Secret token",
        "Push events, Comments, Issues events, Merge request events, Pipeline events",
    ),
    "gitea": Hook(
        "Gitea",
        "the repository's or organisation's Settings > Webhooks > Add Webhook > Gitea",
        "Target URL",
        "application/json (with the method POST)",
        "Secret",
        "Custom Events: Push, Issues, Issue Assigned, Issue Labeled, Issue Comment, Pull Request, "
        "Pull Request Comment, Pull Request Reviewed, Workflow Run",
    ),
    "bitbucket": Hook(
        "Bitbucket",
        "the repository's Repository settings > Webhooks > Add webhook",
        "URL",
        "",
        "Secret",
        "Repository: Push, Updated, Transferred, Build status created, Build status updated; Pull request: all",
    ),
}


@dataclass(frozen=True)
class Repositories:
    """What the first question gives: sources by name, folders that hold local ones, and the forge of their hosts."""

    sources: dict[str, str]
    folders: tuple[Path, ...]
    forge: str | None


def find_repositories(answers: Sequence[str]) -> Repositories:
    """Reads local repositories, folders of them, and https or ssh addresses. Raises `CannotBegin`."""
    found: list[str] = []
    folders: list[Path] = []
    for answer in answers:
        text = answer.strip()
        if is_url(text):
            found.append(_address(text))
        elif "://" in text or re.match(r"[^/]+@[^/]+:", text):
            raise CannotBegin("an address begins with https:// or ssh://, or is USER@HOST:PATH")
        elif text:
            folder, local = _local(text)
            folders.append(folder)
            found += local
    found = list(dict.fromkeys(found))
    if len(found) > MOST_REPOSITORIES:
        raise CannotBegin(
            f"these are {len(found)} repositories: name at most {MOST_REPOSITORIES}, or add the others later with "
            "`penstock index add` or `penstock index add-organisation`"
        )
    hosts = {_HOSTS[host] for location in found if (host := _host(location)) in _HOSTS}
    return Repositories(_named(found), tuple(dict.fromkeys(folders)), hosts.pop() if len(hosts) == 1 else None)


def _address(text: str) -> str:
    place, credential = split_credential(text)
    if credential is not None:
        raise CannotBegin("leave the credential out of the address: `penstock index add` stores it where it is safe")
    return place


def _local(text: str) -> tuple[Path, list[str]]:
    folder = Path(text).expanduser().resolve()
    if not folder.is_dir():
        raise CannotBegin(f"there is no folder {folder}")
    if "\n" in str(folder) or not str(folder).isprintable():
        raise CannotBegin("the folder's name has characters that settings cannot hold")
    if is_repository(folder):
        return folder, [str(folder)]
    with os.scandir(folder) as entries:
        names = sorted(entry.path for _, entry in zip(range(MOST_ENTRIES), entries, strict=False) if entry.is_dir())
    repositories = [name for name in names if name.isprintable() and is_repository(Path(name))]
    if not repositories:
        raise CannotBegin(f"{folder} is no git repository, and holds none")
    return folder, repositories


def _host(location: str) -> str:
    if "://" in location:
        return urlsplit(location).hostname or ""
    return location.partition("@")[2].partition(":")[0].lower()


def _named(locations: Sequence[str]) -> dict[str, str]:
    """Locations by the name of their source: the last part of the path, made different where two are equal."""
    named: dict[str, str] = {}
    for location in locations:
        last = re.split(r"[/:]", location.rstrip("/"))[-1].removesuffix(".git").lower()
        name = base = re.sub(r"[^a-z0-9._-]+", "-", last).strip("._-")[:60] or "source"
        number = 2
        while name in named:
            name, number = f"{base}-{number}", number + 1
        named[name] = location
    return named


def settings_text(engine: str, roots: Sequence[Path], forge: str, chat_model: str | None) -> str:
    """The file: what was decided, and, as comments, what is likely to come next."""
    lines = [
        "# Settings of Penstock, begun by `penstock init`. `penstock doctor` lists every setting, its value and where",
        "# that comes from. Variables PENSTOCK_* of the environment take precedence over this file.",
        f"engine = {_quoted(engine)}",
    ]
    if chat_model:
        lines.append(f"chat_model = {_quoted(chat_model)}")
    elif engine in ("model", "hybrid"):
        lines.append('# chat_model = "ollama/NAME"        # this engine needs one: docs/chat-models.md')
    if roots:
        lines.append(f"allowed_roots = [{', '.join(_quoted(str(root)) for root in roots)}]")
    if forge != "none":
        lines.append(f'# {forge}_token = "..."             # publishes results there: docs/publishing.md')
    lines.append('# start_rules = ["labelled:penstock"]   # what starts a task; unset: each issue that is opened')
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    return text


def _quoted(text: str) -> str:
    """Text as a basic string of TOML, which has JSON's escapes and allows no DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_settings(path: Path, text: str, *, overwrite: bool) -> str:
    """Writes the file whole, readable by its owner only. `written`, `replaced` or `unchanged`.

    Raises `CannotBegin` if another text is there and `overwrite` is not set; what was there is kept beside it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            before = path.read_bytes()
            if before == text.encode():
                return "unchanged"
            if not overwrite:
                raise CannotBegin(
                    f"{path} is there already: edit it, or replace it with --overwrite (what is in it now is kept "
                    f"as {_kept(path).name})"
                ) from None
            _kept(path).unlink(missing_ok=True)
            _kept(path).hardlink_to(path)
            temporary.replace(path)
            return "replaced"
        return "written"
    finally:
        temporary.unlink(missing_ok=True)


def _kept(path: Path) -> Path:
    return path.with_name(f"{path.name}.before")
