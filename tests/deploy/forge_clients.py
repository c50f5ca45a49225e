"""Clients of the fake forge: git without the user's configuration, and HTTP that no proxy sees."""

import os
import subprocess
from typing import Any

import httpx

SHOP = "acme/shop"


def git(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Runs git to its end."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=check, env=environment)


def client(url: str, **headers: str) -> httpx.Client:
    """A client of one service with these headers."""
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)


def told(answer: httpx.Response, status: int) -> Any:
    """The answer's JSON, after a check of its status."""
    assert answer.status_code == status, answer.text
    return answer.json()
