"""Git run by hand, and what is committed, for tests of repositories."""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


AUTHOR = ("Penstock", "penstock@example.org")


Git = Callable[..., str]


def git_in(folder: Path) -> Git:
    def run(*arguments: str, data: bytes | None = None) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_NAME": "A" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], input=data, capture_output=True, env=environment, check=True
        )
        return done.stdout.decode(errors="surrogateescape").strip()

    return run


DIFF = "--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -1,2 +1,2 @@\n def a():\n-    return 1\n+    return 2\n"
