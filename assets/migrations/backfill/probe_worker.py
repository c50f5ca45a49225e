"""The process that asks searches for another and times them, as any process that serves people would.

Reads lines of JSON from standard input, first how to open the platform, then one query each, and answers each with
a line: `ready`, when a search began and what it took, also of a processor, or why it could not be asked. Gone when
its parent is.
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
_LOOK_SECONDS = 1.0


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers until the input ends."""
    try:
        platform = _opened(json.loads(requests.readline(LONGEST_LINE)))
    except Exception as error:  # told to the parent, which logs it
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"ready": True})
    while line := requests.readline(LONGEST_LINE):
        asked = json.loads(line)
        began, worked = time.monotonic(), time.process_time()
        try:
            platform.search(uuid.UUID(asked["team"]), asked["source"], asked["text"], asked["count"])
        except Exception as error:  # told to the parent, which logs it
            _answer(answers, {"error": f"{error}" or type(error).__name__})
            continue
        seconds, worked = time.monotonic() - began, time.process_time() - worked
        _answer(answers, {"began": began, "seconds": seconds, "worked": worked})


def _opened(given: dict[str, Any]) -> Any:
    # Late, so that what cannot be imported is told.
    import assets.context.search  # noqa: F401 - not a part of the first search's time
    from assets.platform import Platform
    from core.settings import Settings

    return Platform(Settings(**given["settings"]), given["url"])


def _answer(answers: BinaryIO, told: dict[str, Any]) -> None:
    answers.write(json.dumps(told).encode() + b"\n")
    answers.flush()


def end_with(parent: int) -> None:
    """Ends this process, also in the middle of a search, soon after `parent` has ended."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(0)

    threading.Thread(target=look, name="penstock-parent", daemon=True).start()


def main() -> None:
    end_with(int(sys.argv[1]))
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
