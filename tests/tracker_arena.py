"""Arenas for the conformance suite of trackers, and a tracker that is kept in memory."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.forge.jira import JiraTracker
from core.forge.linear import LinearTracker
from core.forge.slack import SlackTracker
from core.forge.tracker import Action, Said
from core.forge.tracker_conformance import SeenTicket
from deploy.fake_forge import FakeForge, chat, jira_shapes, linear

WAYS = {"To Do": ("In Progress",), "In Progress": ("To Do", "In Review"), "In Review": ("In Progress", "Done")}


@dataclass
class MemoryComment:
    id: int
    author: str
    text: str
    mark: str | None
    actions: tuple[Action, ...] = ()


@dataclass
class MemoryTicket:
    comments: list[MemoryComment] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    status: str = "To Do"


class MemoryTracker:
    """The project `SHOP` of a tracker. People in `members` may work on its tickets."""

    most_characters = 5_000

    def __init__(self, target: str = "jira:SHOP") -> None:
        self.target = target
        self.tickets: dict[str, MemoryTicket] = {}
        self.members = {"ada-id"}
        self._numbers = itertools.count(1)

    def new_ticket(self) -> str:
        key = f"SHOP-{len(self.tickets) + 1}"
        self.tickets[key] = MemoryTicket()
        return key

    def say(self, ticket: str, author: str, text: str, mark: str | None = None) -> MemoryComment:
        made = MemoryComment(next(self._numbers), author, text, mark)
        self.tickets[ticket].comments.append(made)
        return made

    def check(self) -> None:
        """It is there."""

    def may_write(self, login: str, user_id: str | None, ticket: str | None) -> bool:
        return user_id in self.members

    def find(self, ticket: str, mark: str) -> Said | None:
        found = [c for c in self.tickets[ticket].comments if c.mark == mark and c.author == "penstock"]
        return Said(str(found[0].id), f"https://jira.example.org/{found[0].id}", found[0].text) if found else None

    def write(self, ticket: str, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        made = self.say(ticket, "penstock", text, mark)
        made.actions = actions
        return Said(str(made.id), f"https://jira.example.org/{made.id}", text)

    def edit(self, ticket: str, said: Said, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        [held] = [c for c in self.tickets[ticket].comments if str(c.id) == said.id]
        held.text, held.actions = text, actions
        return Said(said.id, said.url, text)

    def link(self, ticket: str, url: str, title: str) -> None:
        self.tickets[ticket].links[url] = title

    def status(self, ticket: str) -> str | None:
        return self.tickets[ticket].status

    def move(self, ticket: str, status: str) -> bool:
        held = self.tickets[ticket]
        way = next((name for name in WAYS.get(held.status, ()) if name.casefold() == status.casefold()), None)
        held.status = way or held.status
        return way is not None


class MemoryArena:
    account = "penstock"
    steady = ("ada", "ada-id")
    stranger = ("eve", "eve-id")
    mentions = ("@everyone", "@ada")

    def __init__(self) -> None:
        self.tracker = MemoryTracker()

    def open(self) -> MemoryTracker:
        return self.tracker

    def new_ticket(self) -> str:
        return self.tracker.new_ticket()

    def ticket(self, key: str) -> SeenTicket:
        held = self.tracker.tickets[key]
        return SeenTicket(tuple((c.author, c.text) for c in held.comments), tuple(held.links), held.status)

    def say(self, ticket: str, text: str) -> None:
        self.tracker.say(ticket, "ada", text)


class _BoardArena:
    """A project `SHOP` of the fake: `ada` may work on its tickets, `eve` may read them."""

    account = "penstock-bot"

    def __init__(
        self, folder: Path, *, role: str, identity: Callable[["_BoardArena", str], str], **board: bool
    ) -> None:
        self.forge = FakeForge(folder)
        self.board = self.forge.add_board("SHOP", **board)
        self.secret = self.forge.add_token(self.account)
        self.board.roles = {self.account: role, "ada": "edit", "eve": "read"}
        self.steady, self.stranger = ("ada", identity(self, "ada")), ("eve", identity(self, "eve"))

    def new_ticket(self) -> str:
        return self.forge.add_ticket("SHOP", "Total is wrong", "It is 1.").key

    def ticket(self, key: str) -> SeenTicket:
        held = self.forge.state.ticket(key)[1]
        said = tuple((c.author.login, c.body) for c in held.comments)
        return SeenTicket(said, tuple(url for url, _ in held.links.values()), held.status)

    def say(self, ticket: str, text: str) -> None:
        self.forge.say(ticket, text)

    def stop(self) -> None:
        self.forge.stop()


class JiraArena(_BoardArena):
    """The project `SHOP` of a fake Jira."""

    def __init__(self, folder: Path, *, cloud: bool) -> None:
        super().__init__(
            folder,
            role="admin",
            identity=lambda self, login: jira_shapes.identity(self.board, self.forge.add_user(login)),
            cloud=cloud,
        )
        self.mentions = ("[~eve]", f"[~accountid:{self.stranger[1]}]", "{panel}", "@ada")

    @property
    def token(self) -> str:
        return f"bot@example.org:{self.secret}" if self.board.cloud else self.secret

    def open(self) -> JiraTracker:
        return JiraTracker(self.forge.url, "SHOP", lambda: self.token, setting="PENSTOCK_JIRA_TOKEN")


class LinearArena(_BoardArena):
    """The team `SHOP` of a fake Linear."""

    mentions = ("@ada", "@everyone", "https://linear.app/acme/profiles/eve")

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, role="edit", identity=lambda self, login: linear.identity("user", self.forge.add_user(login).id)
        )
        self.token = self.secret

    def open(self) -> LinearTracker:
        return LinearTracker(self.forge.url, "SHOP", lambda: self.token, setting="PENSTOCK_LINEAR_TOKEN")


class SlackArena:
    """A channel of the fake's workspace."""

    account = chat.BOT
    steady = ("ada", "U0ADA")
    stranger = ("eve", "U0EVE")
    mentions = ("<!channel>", "<@U0ADA>", "<!subteam^S0TEAM>", "@everyone")

    def __init__(self, folder: Path, channel: str = "C0SHOP") -> None:
        self.forge = FakeForge(folder)
        self.token = self.forge.add_token("penstock")
        self.channel = channel
        self.chat = self.forge.state.chat
        self.chat.add_channel(channel)
        self.chat.add_member("U0ADA", "ada")
        self.chat.add_member("U0EVE", "eve", is_restricted=True)

    @property
    def address(self) -> str:
        return f"{self.forge.url}/slack"

    def open(self) -> SlackTracker:
        return SlackTracker(self.address, self.channel, lambda: self.token)

    def new_ticket(self) -> str:
        return self.chat.say(self.channel, "U0ADA", "It fails").ts

    def ticket(self, key: str) -> SeenTicket:
        _, *comments = self.chat.thread(self.channel, key)
        return SeenTicket(tuple((comment.user, chat.shown(comment)) for comment in comments), None, None)

    def say(self, ticket: str, text: str) -> None:
        self.chat.say(self.channel, "U0ADA", text, ticket)

    def stop(self) -> None:
        self.forge.stop()
