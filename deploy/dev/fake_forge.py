#!/usr/bin/env python3
"""Runs the fake forge of `deploy/fake_forge` in the foreground, for demos and for trying adapters by hand.

`fake_forge.py serve --state DIR [--port N] [--repository owner/name[=SEED]]...` prints one line of JSON and serves
until SIGTERM or SIGINT. Not a forge: it is plain http on loopback, and forgets all but the repositories when it ends,
unless started with `--keep`.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from deploy.fake_forge import FakeForge

USER = "penstock"
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def _end_with(parent: int) -> None:
    """Has the kernel send SIGTERM when the parent ends (Linux), and ends at once if it already has."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def serve(given: argparse.Namespace, parent: int) -> int:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if given.die_with_parent:
        _end_with(parent)
    try:
        forge = FakeForge(given.state, given.port, keep=given.keep)
    except OSError as error:
        print(f"fake_forge: cannot serve on port {given.port}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    with forge:
        known = [token.secret for token in forge.state.tokens.values() if token.user.login == USER]
        token = known[0] if known else forge.add_token(USER)
        for text in given.repository:
            name, _, seed = text.partition("=")
            if seed and not Path(seed).is_dir():
                print(f"fake_forge: --repository {text}: {seed} is not a folder", file=sys.stderr)  # noqa: T201
                return 1
            try:
                if name not in forge.state.repositories:
                    forge.add_repository(name, Path(seed) if seed else None, given.default_branch)
            except ValueError as error:
                print(f"fake_forge: --repository {text}: {error}", file=sys.stderr)  # noqa: T201
                return 1
            forge.grant(name, USER, "write")
        if given.deliver_to:
            forge.deliver_to(given.deliver_to, os.environ.get("FAKE_FORGE_WEBHOOK_SECRET", ""))
        forge.save()
        addresses = {
            "github": forge.github_url,
            "gitlab": forge.gitlab_url,
            "gitea": forge.gitea_url,
            "bitbucket": forge.bitbucket_url,
        }
        facts = {"url": forge.url, **addresses, "user": USER, "token": token, "pid": os.getpid()}
        print(json.dumps(facts), flush=True)  # noqa: T201
        ended.wait()
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fake_forge.py", description="A fake forge on loopback, for development.")
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "serve", help="serve until SIGTERM; prints one line of JSON with the addresses and a token that may write"
    )
    command.add_argument("--state", type=Path, required=True, help="folder for the repositories; kept")
    command.add_argument("--port", type=int, default=0, help="default: a free one")
    command.add_argument("--default-branch", default="main", help="of the repositories; default: %(default)s")
    command.add_argument(
        "--repository",
        action="append",
        default=[],
        metavar="OWNER/NAME[=SEED]",
        help="a repository to make, from a git repository or a folder of files; may be repeated",
    )
    command.add_argument(
        "--deliver-to",
        metavar="URL",
        help="send GitHub's webhooks there, signed with the environment variable FAKE_FORGE_WEBHOOK_SECRET",
    )
    command.add_argument("--keep", action="store_true", help="keep issues, pull requests and tokens in DIR too")
    command.add_argument("--die-with-parent", action="store_true", help="end when the calling process does")
    return serve(parser.parse_args(arguments), os.getppid())


if __name__ == "__main__":
    sys.exit(main())
