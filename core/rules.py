"""What starts a task: rules over what just happened to an issue, or to the head of a branch. Pure functions.

A rule is written as `labelled:penstock` or, for some repositories or projects of trackers only, as in
`labelled:penstock [acme/*]`. With `-> research` behind it, what it starts is a question for research;
with `-> service`, a service is made.
The settings `start_rules` and `trigger_label` hold the rules in effect; `core.intents` applies them to every event.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field

from core.commands import is_own
from core.spoken import spoken_lines
from core.tickets.record import MOST_ASSIGNEES, MOST_LABELS, NAME_CHARACTERS, TRACKERS, Service

MOST_RULES = 50
MOST_MENTIONS = 20

_RULE = re.compile(r"([a-z]+)(?:\s*:\s*(\S(?:[^\n]*?\S)?))?(?:\s*\[([^\[\]\n]{1,300})\])?")
_WORK = re.compile(r"\s*->\s*(\w+)\s*$")
_TWO_RULES = re.compile(r",\s*(?:(?:opened|command)\s*$|(?:labelled|assigned|mentioned|transition|failed)\s*:\s*\S)")
_NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[-/.]|[/.]$|\.lock$")
"""What no name of a branch holds: https://git-scm.com/docs/git-check-ref-format"""
_MENTION = re.compile(r"(?<![\w`/@.])@([A-Za-z0-9](?:[\w.-]{0,98}[A-Za-z0-9])?)")


class BadRule(ValueError):
    """A rule cannot be read; the message quotes it and says how rules are written."""


class Kind(StrEnum):
    OPENED = "opened"
    """An issue was opened."""
    LABELLED = "labelled"
    """An issue got the label NAME."""
    ASSIGNED = "assigned"
    """An issue was assigned to the login NAME."""
    MENTIONED = "mentioned"
    """@NAME was written in a new issue or in a new comment on one."""
    COMMAND = "command"
    """`/penstock start` was written in a new comment on an issue."""
    TRANSITION = "transition"
    """An issue of a tracker came to the status NAME."""
    FAILED = "failed"
    """Checks of the commit at the head of the branch NAME have failed."""


class Signal(BaseModel):
    """What just happened to an issue, as far as rules look at it. `labels` and `assigned` are those that it has just
    got, `mentioned` those named in its new text or comment, `status` the one that it has come to, `commanded` whether
    its new comment holds the command to start. `actor` caused it: login and the service's id. `at` is the service's own
    time of it, `comment` the id of the new comment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opened: bool = False
    labels: tuple[str, ...] = Field(default=(), max_length=MOST_LABELS)
    assigned: tuple[str, ...] = Field(default=(), max_length=MOST_ASSIGNEES)
    mentioned: tuple[str, ...] = Field(default=(), max_length=MOST_MENTIONS)
    status: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    commanded: bool = False
    actor: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    actor_id: str | None = Field(default=None, max_length=NAME_CHARACTERS)
    at: datetime | None = None
    comment: str | None = Field(default=None, max_length=NAME_CHARACTERS)

    @property
    def says_something(self) -> bool:
        """Whether any rule could match it."""
        return self.opened or self.commanded or bool(self.labels or self.assigned or self.mentioned or self.status)


@dataclass(frozen=True)
class Rule:
    """`name` is the label, login, status or branch; empty for `opened` and `command`. `place` limits it to repositories
    or projects of trackers, as a pattern in which `*` matches any characters."""

    kind: Kind
    name: str = ""
    place: str | None = None
    work: str = ""
    """What it starts, if not a change: `research` or `service`."""

    def __str__(self) -> str:
        name = f":{self.name}" if self.name else ""
        work = f" -> {self.work}" if self.work else ""
        return f"{self.kind}{name}" + (f" [{self.place}]" if self.place else "") + work

    def covers(self, service: str, project: str) -> bool:
        """Whether the rule is for issues of this project. Those of trackers, which name no repository, start work only
        by rules about transitions, and by others that are limited to their project; what is said to Penstock in a
        channel of Slack starts work by all."""
        anywhere = self.kind == Kind.TRANSITION or service == Service.SLACK
        if service in TRACKERS and self.place is None and not anywhere:
            return False
        return self.place is None or fnmatchcase(project.casefold(), self.place.casefold())

    def match(self, signal: Signal) -> str | None:
        """What it matches, in words that are the same in each report of the same event; None if it does not. A rule
        about a branch matches nothing that happens to an issue: see `Rules.watching`."""
        name = self.name.casefold()
        if self.kind == Kind.OPENED:
            return "opened" if signal.opened else None
        if self.kind == Kind.LABELLED:
            return f"label {name}" if name in _folded(signal.labels) else None
        if self.kind == Kind.ASSIGNED:
            return f"assigned {name}" if name in _folded(signal.assigned) else None
        if self.kind == Kind.MENTIONED:
            where = f" in {signal.comment}" if signal.comment else ""
            return f"mention {name}{where}" if name in _folded(signal.mentioned) else None
        if self.kind == Kind.COMMAND:
            return f"command in {signal.comment}" if signal.commanded else None
        if self.kind == Kind.FAILED:
            return None
        return f"status {name}" if name == (signal.status or "").casefold() else None


@dataclass(frozen=True)
class Rules:
    """The rules in effect, in the order in which they are tried."""

    rules: tuple[Rule, ...] = (Rule(Kind.OPENED),)

    def first(self, signal: Signal, service: str, project: str) -> tuple[Rule, str] | None:
        """The first rule that matches, and what it matches."""
        for rule in self.rules:
            what = rule.match(signal) if rule.covers(service, project) else None
            if what is not None:
                return rule, what
        return None

    def watching(self, branch: str, service: str, project: str) -> Rule | None:
        """The first rule about failed checks of this branch, whose name is compared as it is written."""
        named = (rule for rule in self.rules if rule.kind == Kind.FAILED and rule.name == branch)
        return next((rule for rule in named if rule.covers(service, project)), None)

    def wants(self, *kinds: Kind, service: str | None = None, project: str = "") -> bool:
        """Whether there is a rule of one of these kinds, for this project if one is given."""
        return any(r.kind in kinds and (service is None or r.covers(service, project)) for r in self.rules)

    def unmatched(self, signal: Signal, service: str, project: str) -> str | None:
        """Why something that starts tasks elsewhere starts none here; None if nobody would expect that it does."""
        rules = [rule for rule in self.rules if rule.kind != Kind.FAILED and rule.covers(service, project)]
        kinds = {rule.kind for rule in rules}
        expected = (
            (signal.opened and rules)
            or (signal.labels and Kind.LABELLED in kinds)
            or (signal.assigned and Kind.ASSIGNED in kinds)
        )
        if not expected:
            return None
        if [rule.kind for rule in rules] == [Kind.LABELLED]:
            found = f"label {signal.labels[0][:100]!r} is not it" if signal.labels else "it was opened without"
            return f"starts no task: issues need the label {rules[0].name!r} for that, and {found}"
        return f"starts no task: no rule matches ({', '.join(map(str, rules))})"[:500]


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


def parse_rule(text: str) -> Rule:
    """Raises `BadRule`."""
    whole, work = text, ""
    if (started := _WORK.search(text)) is not None:
        work, text = started[1], text[: started.start()]
        if work not in ("research", "service") or text.strip().startswith("failed"):
            what = "only issues start research or a service, as in labelled:question -> research"
            raise BadRule(f"{whole.strip()[:100]!r}: {what}")
    found = _RULE.fullmatch(text.strip())
    kind = found[1] if found else ""
    if found is None or kind not in set(Kind):
        raise BadRule(
            f"{text.strip()[:100]!r} is not a rule: write opened, labelled:NAME, assigned:LOGIN, mentioned:NAME, "
            "command, transition:STATUS or failed:BRANCH, with [REPOSITORY] behind it if it is for some only, as in "
            "opened [acme/*]"
        )
    name = found[2] or ""
    if kind in (Kind.ASSIGNED, Kind.MENTIONED):
        name = name.removeprefix("@")
    if bool(name) == (kind in (Kind.OPENED, Kind.COMMAND)):
        what = "takes no name" if name else f"needs a name: {kind}:NAME"
        raise BadRule(f"{text.strip()[:100]!r}: {kind} {what}")
    if len(name) > NAME_CHARACTERS:
        raise BadRule(f"{text.strip()[:100]!r}: a name has at most {NAME_CHARACTERS} characters")
    place = found[3].strip() if found[3] else None
    if problem := _never_matches(Kind(kind), name, place):
        raise BadRule(f"{text.strip()[:100]!r}: {problem}")
    return Rule(Kind(kind), name, place, work)


def _never_matches(kind: Kind, name: str, place: str | None) -> str | None:
    """Why a rule that can be read is not what was meant, or None."""
    if name.count("[") != name.count("]"):
        return "it has a bracket without the other one"
    if _TWO_RULES.search(name):
        return "several rules are separated by semicolons"
    if kind == Kind.FAILED and name.startswith("refs/heads/"):
        return f"write the branch without refs/heads/: {kind}:{name.removeprefix('refs/heads/')[:80]}"
    if kind == Kind.FAILED and _NO_BRANCH.search(name):
        return f"{name[:80]!r} is no name of a branch, which is written whole"
    if kind == Kind.TRANSITION and place and "/" in place:
        return f"{place[:80]!r} is a repository, but transitions are of a tracker's projects: write [SHOP]"
    return None


def split_rules(text: str) -> tuple[str, ...]:
    """The rules of a text in which semicolons separate them."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


def read_rules(start_rules: Iterable[str], trigger_label: str | None = None) -> Rules:
    """The rules of the settings: those listed, then the trigger label; without any, each opened issue starts a task.
    Raises `BadRule`."""
    rules = [parse_rule(text) for text in start_rules]
    if trigger_label:
        rules.append(Rule(Kind.LABELLED, trigger_label))
    if len(rules) > MOST_RULES:
        raise BadRule(f"there are {len(rules)} rules: at most {MOST_RULES} can be in effect")
    return Rules(tuple(dict.fromkeys(rules))) if rules else Rules()


def mentioned(text: str | None) -> tuple[str, ...]:
    """The names written as @NAME outside of quotations and code, each once; none in Penstock's own comments."""
    if not text or "@" not in text or is_own(text):
        return ()
    said = "\n".join(spoken_lines(text))
    return tuple(dict.fromkeys(match[1] for match in _MENTION.finditer(said)))[:MOST_MENTIONS]
