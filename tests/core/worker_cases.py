"""The process of `test_worker`: it does what it is asked, of all that a process should not."""

import os
import sys
import time
from typing import Any

from core.worker import serve


def _done(asked: Any) -> Any:
    if isinstance(asked, bytes):
        return asked[::-1]
    match asked["do"]:
        case "echo":
            return asked["value"]
        case "print":
            sys.stdout.write("a library says hello\n")
            sys.stdout.flush()
            return "told"
        case "sleep":
            time.sleep(600)
        case "large":
            return "x" * asked["size"]
        case "memory":
            return len(bytearray(asked["size"]))
        case "environment":
            return dict(os.environ)
        case "exit":
            sys.stderr.write("first\nso it goes\n")
            sys.stderr.flush()
            os._exit(3)
    return None


def _prepare() -> None:
    if os.environ.get("FAIL"):
        raise ImportError("no such wheel")


if __name__ == "__main__":
    serve(_done, memory=512 << 20, prepare=_prepare)
