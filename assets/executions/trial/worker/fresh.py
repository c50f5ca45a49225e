"""Answers `fresh`: a fork of the pristine process imports the repository anew, unchanged or with edited files."""

import contextlib
import marshal
import os
import select
import shutil
import traceback
from itertools import count

from .children import CRASH, HANG, Send, supervise
from .clock import clock
from .reporting import run_suite
from .session import collected, enter, marker, notice_end
from .trials import limit_memory, run_targets
from .wire import Message

_stamps = count(1_000_000_000, 2)


def _write(path: str, content: bytes) -> None:
    """Writes a file with a modification time never used before, so that Python loads no stale .pyc for it."""
    with open(path, "wb") as handle:  # noqa: PTH123
        handle.write(content)
    stamp = next(_stamps)
    os.utime(path, (stamp, stamp))


def fresh(command: Message) -> Message:
    """Imports the repository anew, with `files` changed during the call, and runs targets or the whole suite.

    `files` maps paths to new contents, each byte as the character of that number; None removes a file. With `targets`,
    the answer is a trial; without, it is the report of the whole suite (see `reporting`) plus {"tests", "errors",
    "broken"}.
    """
    saved: dict[str, bytes | None] = {}
    made: list[str] = []
    try:
        for path, text in command.get("files", {}).items():
            full = os.path.join(command["root"], path)  # noqa: PTH118
            saved[full] = _read(full)
            made += _make_folders(os.path.dirname(full))  # noqa: PTH120
            _put(full, None if text is None else text.encode("latin-1"))
        if "targets" in command:
            return _fresh_trial(command)
        return _fresh_suite(command)
    finally:
        for full, before in saved.items():
            _put(full, before)
        for folder in reversed(made):
            shutil.rmtree(folder, ignore_errors=True)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as handle:  # noqa: PTH123
            return handle.read()
    except FileNotFoundError:
        return None


def _make_folders(folder: str) -> list[str]:
    """Makes a folder and its missing parents; returns those that it made, outermost first."""
    missing = []
    while not os.path.isdir(folder):  # noqa: PTH112
        missing.append(folder)
        folder = os.path.dirname(folder)  # noqa: PTH120
    for path in reversed(missing):
        os.mkdir(path)  # noqa: PTH102
    return missing[::-1]


def _put(path: str, content: bytes | None) -> None:
    """Writes a file, or removes it."""
    if content is not None:
        _write(path, content)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


def _fresh_trial(command: Message) -> Message:
    until = clock.now() + command["seconds"]

    def work(batch: list[int], send: Send) -> None:
        limit_memory(command["memory"])
        send(("begin", 0, None))
        enter(command)
        suite = collected(command, command.get("select"))
        if suite.broken is not None:
            broken = suite.broken
            send(("end", 0, {"s": "fail", "p": [], "g": broken["type"], "m": _message(broken)}))
            return
        problems = suite.plugin.collect_errors
        targets = []
        for target in command["targets"]:
            if target in suite.by_id:
                targets.append(target)
            else:
                inside = [i for i in suite.by_id if i.startswith(target)] if target not in problems else []
                if not inside:
                    failure = problems.get(target) or next(iter(problems.values()), None)
                    detail = (
                        {"g": f"{failure['type']}|{failure['message'][:200]}", "m": _message(failure)}
                        if failure
                        else {}
                    )
                    send(("end", 0, {"s": "fail", "p": [], **detail}))
                    return
                targets.extend(inside)
        suite.plugin.quick = True
        send(("end", 0, run_targets(suite, targets, command)))

    for kind, _, payload in supervise(work, [0], lambda _: command["seconds"], until):
        if kind == "end":
            return {"trial": payload}
        if kind in (HANG, CRASH, "broken"):
            return {"trial": {"s": "hang" if kind == HANG else "crash"}}
    return {"trial": {"s": "hang"}}


def _message(failure: Message) -> str:
    return f"collecting the tests failed: {failure['type']}: {failure['message']}"[:4000]


def _fresh_suite(command: Message) -> Message:
    """Runs the whole suite; a file that ends the process when it is imported is passed over."""
    marker.write("")
    while (answer := _suite_in_fork(command)) is None:
        if not notice_end():
            return {"error": "importing the repository and running its tests did not end in time"}
    return answer


def _suite_in_fork(command: Message) -> Message | None:
    """Runs the suite in a fork; after a hang or crash, another fork continues with the next test. None when the first
    fork ends without an answer."""
    ready, collecting = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        try:
            enter(command)
            suite = collected(command, command.get("select"))
            answer: Message = {"outcomes": {}, "failures": {}, "seconds": {}, "unfinished": [], "spawned": []}
            if suite.broken is None:
                answer = run_suite(suite, command, None, [])
            answer["tests"] = [item.nodeid for item in suite.items]
            answer["errors"] = suite.plugin.collect_errors
            answer["broken"] = suite.broken
        except BaseException:
            answer = {"error": traceback.format_exc(limit=-4)[-2000:]}
        data = marshal.dumps(answer)
        while data:
            data = data[os.write(collecting, data) :]
        os._exit(0)
    os.close(collecting)
    gathered = bytearray()
    until = clock.now() + command["seconds"] + 5
    while True:
        found, _, _ = select.select([ready], [], [], max(0.0, until - clock.now()))
        chunk = os.read(ready, 1 << 18) if found else b""
        if not chunk:
            break
        gathered += chunk
    os.close(ready)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
    os.waitpid(pid, 0)
    if not gathered:
        return None
    result: Message = marshal.loads(bytes(gathered))  # noqa: S302 - from our own fork
    return result
