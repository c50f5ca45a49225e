"""The process in which `probe.py` times searches; it searches as the gateway does.

Reads lines of JSON from standard input: first how to open the platform, then one query each. Answers each with a line:
`ready`, the start, duration and processor time of a search, or the error. Ends when its parent has ended.
"""

import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, BinaryIO

LONGEST_LINE = 1 << 20
_POLL_SECONDS = 1.0


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers until the input ends."""
    try:
        platform = _open_platform(json.loads(requests.readline(LONGEST_LINE)))
    except Exception as error:  # the parent logs it
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"ready": True})
    while line := requests.readline(LONGEST_LINE):
        query = json.loads(line)
        began, worked = time.monotonic(), time.process_time()
        try:
            platform.search(uuid.UUID(query["team"]), query["source"], query["text"], query["count"])
        except Exception as error:  # the parent logs it
            _answer(answers, {"error": f"{error}" or type(error).__name__})
            continue
        seconds, worked = time.monotonic() - began, time.process_time() - worked
        _answer(answers, {"began": began, "seconds": seconds, "worked": worked})


def _open_platform(setup: dict[str, Any]) -> Any:
    # Imported late, so that a failed import is reported.
    import assets.context.search  # noqa: F401 - not part of the first search's time
    from assets.platform import Platform
    from core.settings import Settings

    return Platform(Settings(**setup["settings"]), setup["url"])


def _answer(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def exit_with(parent: int) -> None:
    """Ends this process, also in the middle of a search, soon after `parent` has ended."""

    def poll() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os._exit(0)

    threading.Thread(target=poll, name="penstock-parent", daemon=True).start()


def main() -> None:
    exit_with(int(sys.argv[1]))
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
