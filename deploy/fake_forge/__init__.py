"""A fake forge for development and tests: GitHub, GitLab, Gitea and Bitbucket on one port, with real git repositories,
and Jira and Linear beside them.

It is not a forge: no accounts, no forks, no reviews, no web pages, plain http on loopback. What an adapter asks of it
that it does not have is in `FakeForge.unknown`. `deploy/dev/fake_forge.py` runs it as a program.

Beside it there is a workspace of Slack (`chat`, `slack`).

The layers, from below: `records`, `chat`, `git`; `accounts`, `boards`, `state`; `kept`; `exchange`; `*_shapes`; one
module for each dialect; `faults`, `deliveries`, `pages`; `server`; `forge`.
"""

from deploy.fake_forge.faults import Fault
from deploy.fake_forge.forge import FakeForge
from deploy.fake_forge.records import (
    AlreadyExists,
    Comment,
    Invalid,
    Issue,
    NoSuchBranch,
    NotFound,
    Pull,
    Repository,
    Request,
    User,
    Write,
)

__all__ = [
    "AlreadyExists",
    "Comment",
    "FakeForge",
    "Fault",
    "Invalid",
    "Issue",
    "NoSuchBranch",
    "NotFound",
    "Pull",
    "Repository",
    "Request",
    "User",
    "Write",
]
