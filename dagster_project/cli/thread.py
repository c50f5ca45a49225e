"""`penstock thread`: list, show, new, say, watch, share and export, by a client that works without a connection."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table

if TYPE_CHECKING:
    from threads.client.client import ThreadClient
    from threads.replica import Message, Snapshot

threads = typer.Typer(
    name="thread", help="List, read, write, watch, share and export threads, also offline.", no_args_is_help=True
)

Address = Annotated[
    str | None, typer.Option("--url", help="Address of the gateway; by default the running platform's.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with an API token, or with a session as `POST /sessions` gives it, which is refreshed in place; by "
        "default this platform's own token.",
        exists=True,
        dir_okay=False,
    ),
]
ThreadId = Annotated[
    str,
    typer.Argument(
        help="The thread's id or its first characters; `task:ID` for the thread of a task.", metavar="THREAD"
    ),
]
SECONDS = 10.0
"""How long `say` and `new` wait for another process that is sending."""


@contextmanager
def connected(url: str | None, token_file: Path | None) -> Iterator["ThreadClient"]:
    """A client of the gateway, with a file of its own for each address and token. Its errors become `CommandFailed`."""
    from core.credentials import load_or_make
    from core.settings import load_settings
    from dagster_project.records import running_platform
    from threads.client.client import ThreadClient
    from threads.client.session import NotASession, SessionFile
    from threads.client.store import QueueFull, StorageFull
    from threads.client.transport import Busy, HttpTransport, Offline, Refused, SignedOut, Tokens

    settings = load_settings()
    if url is None:
        running = running_platform(settings)
        url = str(running["gateway"]) if running else f"http://{settings.gateway_host}:{settings.gateway_port}"
    token = token_file.read_text(encoding="utf-8").strip() if token_file else load_or_make(settings).api_token
    tokens, whose = Tokens(token), token
    if token_file and token.startswith("{"):
        try:
            session = SessionFile(token_file, url)
        except NotASession as error:
            raise CommandFailed(str(error)) from error
        tokens, whose = session.tokens(), session.session
    transport = HttpTransport(url, tokens)
    mine = hashlib.sha256(f"{url} {whose}".encode()).hexdigest()[:16]
    client = ThreadClient(settings.home / "threads" / f"{mine}.db", transport)
    try:
        yield client
    except SignedOut as error:
        raise CommandFailed(f"{error}; what was written is kept") from error
    except Refused as error:
        raise CommandFailed(str(error)) from error
    except (StorageFull, QueueFull) as error:
        raise CommandFailed(str(error)) from error
    except (Offline, Busy) as error:
        raise CommandFailed(f"no gateway answers at {url} ({error}): this needs a connection") from error
    finally:
        client.close()
        transport.close()


def _sync(client: "ThreadClient") -> bool:
    """Sends and reads what there is; False without a connection. If another process does it, waits for it."""
    from threads.client.transport import Busy, Offline

    with client.store.syncing() as mine:
        try:
            if mine:
                client.sync.sync()
                return True
        except (Offline, Busy) as error:
            note(f"offline: {error}")
            return False
    until = time.monotonic() + SECONDS
    while client.sync.waiting() and time.monotonic() < until:
        time.sleep(0.05)
    return not client.sync.waiting()


def _find(client: "ThreadClient", text: str) -> str:
    import uuid

    if text.startswith("task:"):
        return str(client.sync.transport.request("GET", f"/tasks/{_uuid(text[5:])}/thread")["thread"])
    try:
        return str(uuid.UUID(text))
    except ValueError:
        found = [view["id"] for view in client.listing() if view["id"].startswith(text.lower())] if text else []
    if len(found) != 1:
        raise CommandFailed(
            f"{'no thread' if not found else 'more than one thread'} begins with {text!r}; see `penstock thread list`"
        )
    return str(found[0])


def _uuid(text: str) -> str:
    import uuid

    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a task's id", param_hint="THREAD") from None


def _opened(client: "ThreadClient", text: str) -> str:
    _sync(client)
    thread = _find(client, text)
    client.open(thread)
    return thread


@threads.command("list")
def list_(url: Address = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """List threads, the last changed first; without a connection those that are known here."""
    with connected(url, token_file) as client:
        _sync(client)
        found = client.listing()
    if as_json:
        data(found)
        return
    rows = [(one["id"], one["updated_at"][:16], one["visibility"], one["messages"], one["title"]) for one in found]
    table(("id", "changed", "visible to", "messages", "title"), rows, empty="no threads yet", short={"id": 8})


@threads.command()
def show(thread: ThreadId, url: Address = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Show a thread with what of it was not sent yet."""
    with connected(url, token_file) as client:
        found = client.snapshot(_opened(client, thread))
    if as_json:
        data(_as_data(found))
        return
    line(found.title)
    for message in found.messages:
        if not message.deleted:
            _print(message)
    if found.continued_in:
        line(f"it goes on in {found.continued_in}")


@threads.command()
def new(
    title: Annotated[str, typer.Argument(help="What it is about.")],
    team_sees: Annotated[
        bool, typer.Option("--team-sees", help="Everybody of the team may read and write it.")
    ] = False,
    parent: Annotated[str | None, typer.Option(help="The thread that it is a part of.", metavar="THREAD")] = None,
    url: Address = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Begin a thread, and print its id."""
    with connected(url, token_file) as client, _valid():
        above = _find(client, parent) if parent else None
        thread = client.create(title, visibility="team" if team_sees else "private", parent=above)
        sent = _sync(client)
        _refused(client, thread)
    data({"thread": thread, "sent": sent}) if as_json else line(thread)


@threads.command()
def say(
    thread: ThreadId,
    text: Annotated[str, typer.Argument(help="The message; `-` reads it from standard input.")],
    url: Address = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a message. Without a connection it is kept, and sent by the next command or `watch`."""
    import sys

    with connected(url, token_file) as client, _valid():
        _sync(client)
        identity = _find(client, thread)
        said = sys.stdin.read() if text == "-" else text
        if not said.strip():
            raise CommandFailed("the message is empty: nothing was written")
        message = client.say(identity, said)
        sent = _sync(client)
        _refused(client, identity, message)
        ended = _ended_task(client, identity) if sent else None
    if as_json:
        data({"message": message, "sent": sent, **({"task_ended": ended} if ended else {})})
    elif ended:
        note(
            f"sent to the thread alone: its task is {ended}, so no attempt hears it. After `penstock task retry`, say "
            "it again"
        )
    else:
        note("sent" if sent else "kept: it is sent as soon as there is a connection")


@threads.command()
def watch(
    thread: ThreadId,
    timeout: Annotated[float, typer.Option(min=0.1, help="Timeout in seconds.")] = 3600.0,
    url: Address = None,
    token_file: TokenFile = None,
) -> None:
    """Follow a thread as it changes, and send what waits. Goes on when the connection comes back."""
    with connected(url, token_file) as client:
        identity = _opened(client, thread)
        client.start()
        shown: dict[str, tuple[str, bool]] = {}
        for snapshot in client.observe(identity, seconds=timeout):
            for message in snapshot.messages:
                now = (message.text, message.deleted)
                if shown.get(message.id) != now:
                    _print(message, changed=message.id in shown)
                    shown[message.id] = now


@threads.command()
def share(
    thread: ThreadId,
    visibility: Annotated[str, typer.Argument(help="private, listed, link or team.")],
    grant: Annotated[
        list[str] | None, typer.Option(help="Whom to list: `user:NAME=reader`, commenter, writer or owner.")
    ] = None,
    link: Annotated[
        str | None, typer.Option(help="Make a link for a reader, commenter or writer.", metavar="ROLE")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, help="How long the link is valid.")] = 24.0,
    url: Address = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Change who may read and write a thread. Needs a connection."""
    from pydantic import ValidationError

    from threads.model import Sharing

    grants = dict(one.rpartition("=")[::2] for one in grant or ())
    wanted = {"role": link, "hours": hours} if link else None
    try:
        Sharing.model_validate({"acl_epoch": 0, "visibility": visibility, "grants": grants, "link": wanted})
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    with connected(url, token_file) as client:
        _sync(client)
        identity = _find(client, thread)
        answer = client.share(identity, visibility, grants, link=wanted)  # type: ignore[arg-type]
    if as_json:
        data(answer)
    elif "link" in answer:
        line(answer["link"])
        note("whoever has this secret may open the thread; it is shown this once")
    else:
        note(f"{visibility} now")


@threads.command()
def export(
    thread: ThreadId,
    url: Address = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a whole thread as Markdown, or as JSON."""
    with connected(url, token_file) as client:
        found = client.snapshot(_opened(client, thread))
    if as_json:
        data(_as_data(found))
        return
    line(f"# {found.title}")
    for message in found.messages:
        if not message.deleted:
            line(f"\n## {message.author} ({message.role})\n\n{message.text}")


@contextmanager
def _valid() -> Iterator[None]:
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        raise CommandFailed(str(error.errors()[0]["msg"])) from None


def _refused(client: "ThreadClient", thread: str, message: str | None = None) -> None:
    for letter in reversed(client.dead_letters()):
        if letter.mutation["thread"] == thread and letter.mutation.get("message") == message:
            raise CommandFailed(f"the server refused it: {letter.message}")


def _ended_task(client: "ThreadClient", thread: str) -> str | None:
    """The state of the thread's task, if it has one that has ended."""
    from core.states import CLOSED_TASK_STATES
    from threads.client.transport import Busy, Offline, Refused

    try:
        task = client.sync.transport.request("GET", f"/threads/{thread}")["task"]
        state = str(client.sync.transport.request("GET", f"/tasks/{task}")["state"]) if task else ""
    except (Offline, Busy, Refused):
        return None  # the message is sent, which is what was asked for
    return state if state in CLOSED_TASK_STATES else None


def _print(message: "Message", *, changed: bool = False) -> None:
    marks = [*(["not sent yet"] if message.pending else []), *(["changed"] if changed else [])]
    if message.deleted:
        line(f"{message.author}: (deleted)")
        return
    lines = message.text.splitlines() or [""]
    line(f"{message.author}{' (' + ', '.join(marks) + ')' if marks else ''}: {lines[0]}")
    for more in lines[1:]:
        line(f"    {more}")
    for sibling in message.siblings:
        line(f"    or, as {sibling['author']} wrote: {sibling['text']}")


def _as_data(found: "Snapshot") -> dict[str, Any]:
    messages = [{**vars(message), "siblings": list(message.siblings)} for message in found.messages]
    return {"title": found.title, "head": found.head, "continued_in": found.continued_in, "messages": messages}
