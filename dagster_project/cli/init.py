"""`penstock init`: three questions, or flags, and then what to paste where."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, line, note

if TYPE_CHECKING:
    from dagster_project.first_settings import Repositories

_FORGES = "github, gitlab, gitea, bitbucket or none"
_ENGINES = "search (needs no model), model, hybrid or auto"
_PLACEHOLDER = "https://YOUR-HOST"


def init(
    repositories: Annotated[
        list[str] | None,
        typer.Option(
            help="Where your repositories are: one, a folder of them, or an https or ssh URL; may be repeated.",
            metavar="DIR_OR_URL",
        ),
    ] = None,
    forge: Annotated[str | None, typer.Option(help=f"Which forge sends events: {_FORGES}.")] = None,
    engine: Annotated[str | None, typer.Option(help=f"Which engine works on tasks: {_ENGINES}.")] = None,
    chat_model: Annotated[
        str | None, typer.Option(help="Chat model of the engines model and hybrid, for example ollama/NAME.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Address at which the forge reaches the gateway.", metavar="https://HOST")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take defaults for what is not given.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace settings that are there already, and keep them beside.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Begin: write settings.toml, make the webhook's secret, and print what to paste where.

    It asks where your repositories are, which forge they are at and which engine works on tasks. It needs no database
    and starts nothing; running it again changes nothing.
    """
    from core.credentials import CredentialsError, load_or_make
    from core.settings import given_explicitly, load_settings, settings_file
    from dagster_project.first_settings import CannotBegin, settings_text, write_settings

    asks = not yes and sys.stdin.isatty()
    if not asks and not yes and (missing := _missing(repositories, forge, engine)):
        raise CommandFailed(f"nobody can be asked here: give {' and '.join(missing)}, or --yes for the defaults")
    if chat_model is not None and not (chat_model.isprintable() and 0 < len(chat_model) <= 200):
        raise typer.BadParameter("is not the name of a model", param_hint="--chat-model")
    base = _base(address)
    places = _where(repositories, asks)
    kind = _which("forge", forge, _FORGES, asks, places.forge or ("none" if yes else "github"))
    chosen = _which("engine", engine, _ENGINES, asks, "search")
    file = settings_file()
    try:
        before = load_settings()
        outside = [folder for folder in places.folders if not any(folder.is_relative_to(r) for r in before.roots)]
        stated = (given_explicitly("allowed_roots") or "").startswith("file")  # by an earlier run
        roots = [*before.allowed_roots, *outside] if outside or stated else []
        text = settings_text(chosen, roots, kind, chat_model)
        done = _write(file, text, overwrite, asks, write_settings)
        settings = load_settings()
        load_or_make(settings)
    except (CannotBegin, CredentialsError) as error:
        raise CommandFailed(str(error)) from error
    except OSError as error:
        raise CommandFailed(f"{error.filename or file} cannot be written: {error.strerror}") from error
    hook = _hook(kind, base, settings.secrets_folder, given_explicitly(f"{kind}_webhook_secret"))
    following = _next(places, kind, chosen, settings.chat_model)
    if as_json:
        data({"settings": str(file), "written": done, "engine": settings.engine, "forge": kind,
              "repositories": places.sources, "webhook": hook, "next": following})  # fmt: skip
        return
    line(f"settings   {file} ({done})")
    if settings.engine != chosen:
        note(f"the engine is {settings.engine} all the same, from {given_explicitly('engine')}")
    if hook:
        _show_hook(hook, base, settings.gateway_host, settings.gateway_port)
    line()
    line("Then:")
    for number, step in enumerate(following, 1):
        line(f"  {number}. {step}")


def _missing(repositories: list[str] | None, forge: str | None, engine: str | None) -> list[str]:
    given = {"--repositories": repositories, "--forge": forge, "--engine": engine}
    return [name for name, value in given.items() if not value]


def _base(address: str | None) -> str:
    from core.access.grants import is_safe_address

    if address is None:
        return _PLACEHOLDER
    if not is_safe_address(address) or len(address) > 300:
        raise typer.BadParameter("is not an https address (http only on loopback)", param_hint="--address")
    return address.rstrip("/")


def _where(given: list[str] | None, asks: bool) -> "Repositories":
    """The first answer. Raises `typer.BadParameter` for a flag that is wrong; a person is asked again."""
    from dagster_project.first_settings import CannotBegin, find_repositories

    if given or not asks:
        if given and not any(one.strip() for one in given):
            raise typer.BadParameter(
                "is empty: name a folder or an address, or leave it out", param_hint="--repositories"
            )
        try:
            return find_repositories(given or ())
        except CannotBegin as error:
            raise typer.BadParameter(str(error), param_hint="--repositories") from error
    here: str | None = str(Path.cwd())
    try:
        find_repositories([str(here)])
    except CannotBegin:
        here = None  # no default that would be refused
    while True:
        note("Where are your repositories? One, a folder of them, or an https or ssh URL; several with spaces between.")
        said = typer.prompt("repositories", default=shlex.quote(here) if here else None, err=True)
        try:
            return find_repositories(shlex.split(said))
        except ValueError as error:
            note(f"{error}")


def _which(name: str, given: str | None, choices: str, asks: bool, default: str) -> str:
    from dagster_project.first_settings import ENGINES, FORGES

    allowed = FORGES if name == "forge" else ENGINES
    if given is None and not asks:
        return default
    if given is not None:
        if given.lower() not in allowed:
            raise typer.BadParameter(f"{given!r} is not one of {', '.join(allowed)}", param_hint=f"--{name}")
        return given.lower()
    while True:
        note(f"Which {name}? {choices}.")
        said = str(typer.prompt(name, default=default, err=True)).strip().lower()
        if said in allowed:
            return said
        note(f"{said!r} is not one of {', '.join(allowed)}")


def _write(file: Any, text: str, overwrite: bool, asks: bool, write: Any) -> str:
    """Writes the settings; of a file that is there already, a person is asked."""
    if asks and not overwrite and file.exists() and file.read_text(encoding="utf-8", errors="replace") != text:
        overwrite = typer.confirm(f"{file} is there already. Replace it, and keep it as {file.name}.before?", err=True)
    return str(write(file, text, overwrite=overwrite))


def _hook(kind: str, base: str, secrets: Any, origin: str | None) -> dict[str, str] | None:
    """What to paste at the forge. The secret itself is not printed: where it is, is."""
    from dagster_project.first_settings import HOOKS

    if kind == "none":
        return None
    hook = HOOKS[kind]
    return {
        "at": hook.title,
        "place": hook.place,
        hook.address_field: f"{base}/webhooks/{kind}",
        **({"Content type": hook.content_type} if hook.content_type else {}),
        hook.secret_field: f"the one of {origin}" if origin else f"the text of {secrets / f'{kind}-webhook-secret'}",
        "Events": hook.events,
    }


def _show_hook(hook: dict[str, str], base: str, host: str, port: int) -> None:
    import textwrap

    line()
    line(f"Paste at {hook['at']}, in {hook['place']}:")
    fields = {name: value for name, value in hook.items() if name not in ("at", "place")}
    for name, value in fields.items():
        first, *more = textwrap.wrap(value, 92) if name == "Events" else [value]  # what is copied stays whole
        line(f"  {name:<14} {first}")
        for rest in more:
            line(f"  {'':14} {rest}")
    if base == _PLACEHOLDER:
        line()
        line(f"{_PLACEHOLDER} is where the forge reaches the gateway, which listens at http://{host}:{port}:")
        line("put it behind a proxy with TLS (docs/production.md), and give the address with --address.")


def _options(location: str, kind: str, known: str | None) -> str:
    """What `index add` must be told of a forge that does not follow from the address."""
    if kind in ("none", known):
        return ""
    if location.startswith("/"):
        return " --repository OWNER/NAME"
    path = location.partition("://")[2].partition("/")[2] if "://" in location else location.partition(":")[2]
    repository = path.strip("/").removesuffix(".git")
    return f" --repository {shlex.quote(repository)} --forge {kind}"


def _next(places: "Repositories", kind: str, engine: str, chat_model: str | None) -> list[str]:
    steps = []
    if engine in ("model", "hybrid") and not chat_model:
        steps.append(f"name a chat model, without which the engine {engine} cannot work: docs/chat-models.md")
    if kind != "none":
        steps.append(
            f"set PENSTOCK_{kind.upper()}_TOKEN, or {kind}_token in the settings, so that results can be published: "
            f"docs/connect-{kind}.md"
            if kind != "bitbucket"
            else "set PENSTOCK_BITBUCKET_TOKEN, or bitbucket_token in the settings: docs/publishing.md"
        )
    steps.append("penstock up")
    for name, location in list(places.sources.items())[:10]:
        steps.append(f"penstock index add {name} {shlex.quote(location)}{_options(location, kind, places.forge)}")
    if len(places.sources) > 10:
        steps.append(f"and {len(places.sources) - 10} more repositories in the same way")
    if not places.sources:
        steps.append("penstock index add NAME DIR_OR_URL")
    steps.append("penstock doctor")
    return steps
