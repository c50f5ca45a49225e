"""Runs in the sandbox: loads a handler written in Python, and runs its steps, one line of JSON for each.

It is not trusted by what speaks to it. The protocol, which a program in any language can speak, is in docs/objects.md.
"""

import json
import os
import sys
import traceback
from typing import Any


class Refused(Exception):
    """Raised by a handler: the caller gets this code and message, and nothing changes."""

    def __init__(self, code: object, message: object = "") -> None:
        super().__init__(str(message))
        self.code, self.message = str(code), str(message)


def main() -> None:
    # What the handler prints goes to the error stream, which only its limit reads.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module: dict[str, Any] = {"__name__": "handler", "Refused": Refused}
    for line in sys.stdin.buffer:
        said = json.loads(line)
        try:
            answer = _do(module, said)
        except Refused as refused:
            answer = {"refused": {"code": refused.code, "message": refused.message}}
        except MemoryError:
            answer = {"error": "it ran out of memory"}
        except BaseException as error:  # a handler's SystemExit ends no step silently
            where = traceback.extract_tb(error.__traceback__)[-1]
            answer = {"error": f"{type(error).__name__}: {error} (line {where.lineno})"[:1000]}
        try:
            text = json.dumps({"id": said["id"], **answer}, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            text = json.dumps({"id": said["id"], "error": f"what the handler returned is not JSON: {error}"[:500]})
        out.write(text + "\n")
        out.flush()


def _do(module: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    if said["do"] == "load":
        exec(compile(said["source"], "handler.py", "exec"), module)  # noqa: S102  this is what the sandbox is for
        if not callable(module.get("handle")):
            return {"error": "it defines no function handle(state, message)"}
        return {"loaded": True}
    if said["do"] == "migrate":
        migrate = module.get("migrate")
        return {"state": migrate(said["state"], said["version"]) if migrate else said["state"]}
    if said["do"] == "downgrade":
        downgrade = module.get("downgrade")
        if downgrade is None and "migrate" in module:
            return {"missing": True}
        return {"state": downgrade(said["state"], said["version"]) if downgrade else said["state"]}
    given = module["handle"](said["state"], said["message"])
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        return {"error": "handle must return (state, result) or (state, result, effects)"}
    return {"state": given[0], "result": given[1], "effects": list(given[2]) if len(given) == 3 else []}


if __name__ == "__main__":
    main()
