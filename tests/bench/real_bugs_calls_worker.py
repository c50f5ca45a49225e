"""Runs inside the sandbox: records calls of functions during a test run, or replays calls and their variations.

Reads `penstock_calls.json` and writes `penstock_calls_answer.json`. Only the standard library and pytest.
"""

import base64
import contextlib
import importlib
import io
import itertools
import json
import os
import pickle
import signal
import sys
import time
import types
from pathlib import Path

MAX_CALLS = 60
"""Recorded calls of one function."""
VARIATIONS = 12
"""Variations of one call."""


def record(functions, arguments, until):
    import pytest

    wanted = {(path, name) for path, name in functions}
    root = str(Path.cwd())
    calls, seen = [], {}

    def watch(frame, event, value):
        if event != "call":
            return
        code = frame.f_code
        if not code.co_filename.startswith(root):
            return
        key = (os.path.relpath(code.co_filename, root), code.co_qualname)
        if key not in wanted or seen.get(key, 0) >= MAX_CALLS or time.monotonic() > until:
            return
        sys.setprofile(None)
        try:
            names = code.co_varnames[: code.co_argcount]
            values = [frame.f_locals[name] for name in names]
            keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
            more = {name: frame.f_locals[name] for name in keywords}
            at = code.co_argcount + code.co_kwonlyargcount
            if code.co_flags & 4:
                values += frame.f_locals[code.co_varnames[at]]
                at += 1
            if code.co_flags & 8:
                more.update(frame.f_locals[code.co_varnames[at]])
            module = frame.f_globals["__name__"]
            held = base64.b64encode(pickle.dumps((values, more))).decode()
            if len(held) < 200_000 and [module, key[1], held] not in calls:
                calls.append([module, key[1], held])
                seen[key] = seen.get(key, 0) + 1
        except Exception:
            seen[key] = seen.get(key, 0)
        finally:
            sys.setprofile(watch)

    class Plugin:
        def pytest_runtest_call(self, item):
            sys.setprofile(watch)

        def pytest_runtest_teardown(self, item):
            sys.setprofile(None)

    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(list(arguments), plugins=[Plugin()])
    return {"calls": calls}


def replay(calls, until):
    results = {}
    signal.signal(signal.SIGALRM, _stop)
    for module, name, held in calls:
        for number in range(VARIATIONS + 1):
            if time.monotonic() > until:
                return {"results": results}
            try:
                values, more = pickle.loads(base64.b64decode(held))  # noqa: S301
                function = importlib.import_module(module)
                for part in name.split("."):
                    function = getattr(function, part)
                function = getattr(function, "__func__", function)
                if number and not vary(values, number):
                    continue
                call = f"{name}({', '.join([*map(_shown, values), *(f'{k}={_shown(v)}' for k, v in more.items())])})"
            except Exception:
                break
            signal.setitimer(signal.ITIMER_REAL, 1.0)
            try:
                got = function(*values, **more)
                if isinstance(got, types.GeneratorType | map | filter | zip):
                    got = list(itertools.islice(got, 500))
                # What was done to the arguments is part of the result.
                result = f"{_shown(got)} | {', '.join(map(_shown, values))}"
            except Exception as error:
                result = type(error).__name__
            except BaseException as error:
                result = type(error).__name__
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            results[call[:400]] = result[:1500]
    return {"results": results}


def _stop(number, frame):
    raise TimeoutError


def _shown(value):
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(error).__name__}>"
    if " at 0x" in text:
        inside = getattr(value, "__dict__", None)
        text = f"{type(value).__name__}({inside!r})" if inside else type(value).__name__
        text = text.split(" at 0x")[0]
    return text[:600]


def vary(values, number):
    """Changes one of the arguments in place; false if this variation does not exist."""
    places = [at for at, value in enumerate(values) if variations(value)]
    if not places:
        return False
    at = places[number % len(places)]
    found = variations(values[at])
    step = number // len(places)
    if step >= len(found):
        return False
    values[at] = found[step]
    return True


def variations(value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, -value, 0, value * 10]
    if isinstance(value, float):
        return [value + 0.5, -value, 0.0]
    if type(value) in (str, bytes):
        half, one = len(value) // 2, value[:1]
        space = " " if isinstance(value, str) else b" "
        return [
            value[:0],
            value + space,
            space + value,
            value[1:],
            value[:-1],
            value.upper(),
            value[::-1],
            value + value,
            value[:half] + space + value[half:],
            one + value,
            value[:half] + value[half + 1 :],
        ]
    if type(value) in (list, tuple):
        return [value[:0], value[1:], value[::-1], value + value, value[:1]]
    if type(value) is dict:
        items = list(value.items())
        return [{}, dict(items[1:]), dict(items[::-1])]
    return []


def main():
    sys.path[0] = str(Path.cwd())
    asked = json.loads(Path("penstock_calls.json").read_text(encoding="utf-8"))
    for option in asked["arguments"]:
        if option.startswith("pythonpath="):
            sys.path[:0] = [str(Path.cwd() / name) for name in option.partition("=")[2].split()]
    until = time.monotonic() + asked["seconds"]
    if "record" in asked:
        answer = record([tuple(one) for one in asked["record"]], asked["arguments"], until)
    else:
        answer = replay(asked["replay"], until)
    Path("penstock_calls_answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
