"""Has claims looked at in the sandbox: a test module that tells what each call gives, instead of judging it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.executions.attempt.derived.claims import Claim, Kind, Stated
from assets.executions.attempt.derived.safe_code import is_expression
from assets.executions.trial.baseline import Allowance, failures_of, outcomes_of
from assets.executions.trial.worker_client import Worker
from core.work import Outcome

RUNS = 3
"""Each call is made this often, each time in a fresh process."""
_MARK = "PENSTOCK-SAW "
_TEMPLATE = '''"""What the calls of an issue give."""

import contextlib
import doctest
import io
import json
import os

import pytest

CLAIMS = json.loads({claims!r})
ROOT = os.getcwd() + os.sep


def same(stated, saw, names):
    """Whether what was seen is what is stated; None when that cannot be told."""
    if stated is None:
        return None
    kind, text = stated["kind"], stated["text"]
    if kind == "raises":
        return text.rpartition(".")[2] in saw["types"]
    if saw["types"]:
        return False
    if kind == "true":
        return bool(saw["value"])
    if kind == "output":
        return saw["output"].strip() == text.strip()
    value = saw["value"]
    if kind == "value":
        try:
            right = eval(text, names)
            if isinstance(right, bool) is not isinstance(value, bool):
                return False
            return bool(right == value) or (right != right and value != value)
        except Exception:
            return repr(value) == text
    shown = saw["output"] + ("" if value is None else repr(value) + "\\n")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if doctest.OutputChecker().check_output(text + "\\n", shown, flags):
        return True
    return not stated["exact"] and (str(value) == text or repr(value) == text)


def look(claim):
    names = {{"__name__": "issue"}}
    saw = {{"types": [], "message": "", "inside": False, "reached": False, "value": None, "output": ""}}
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            for line in claim["imports"]:
                exec(line, names)
            exec(claim["code"], names)
        out.seek(0)
        out.truncate()
        saw["reached"] = True
        with contextlib.redirect_stdout(out):
            if claim["expression"]:
                saw["value"] = eval(claim["subject"], names)
            else:
                exec(claim["subject"], names)
    except (Exception, SystemExit) as error:
        saw["types"] = [kind.__name__ for kind in type(error).__mro__]
        saw["message"] = str(error)[:200]
        trace = error.__traceback__
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            own = path.startswith(ROOT) and path != __file__ and "site-packages" not in path
            saw["inside"] = saw["inside"] or own
            trace = trace.tb_next
    saw["output"] = out.getvalue()[:20000]
    value = saw["value"]
    answer = {{name: saw[name] for name in ("types", "message", "inside", "reached")}}
    answer["types"] = answer["types"][:8]
    for role in ("expected", "actual", "shown"):
        answer[role] = same(claim[role], saw, names)
    shown = repr(value) if value is not None or not saw["output"] else saw["output"].strip()
    answer.update(saw=shown[:300], text=isinstance(value, str), nothing=value is None, printed=bool(saw["output"]))
    for role in ("expected", "shown"):
        stated = claim[role]
        try:
            answer["equal"] = bool(stated and eval(claim["literal"][role], names) == value)
        except Exception:
            answer["equal"] = answer.get("equal", False)
        if answer["equal"]:
            break
    return answer


@pytest.mark.parametrize("number", range(len(CLAIMS)))
def test_look(number):
    raise AssertionError({mark!r} + json.dumps(look(CLAIMS[number]), ensure_ascii=False))
'''


@dataclass(frozen=True)
class Seen:
    """What a call gave in one run. `types` are the exception's names, itself first, empty when none was raised;
    `inside`: it passed through the repository's code; `reached`: the call itself was made. `expected`, `actual`,
    `shown`: whether what is stated so was seen. `equal`: what was seen equals the literal that is stated."""

    types: tuple[str, ...] = ()
    message: str = ""
    inside: bool = False
    reached: bool = False
    expected: bool | None = None
    actual: bool | None = None
    shown: bool | None = None
    saw: str = ""
    text: bool = False
    nothing: bool = False
    printed: bool = False
    equal: bool = False

    @property
    def result(self) -> str:
        """What was seen, in a few words."""
        if self.types:
            return f"{self.types[0]}: {self.message}"[:160].rstrip(": ")
        return self.saw[:120]


def probe_module(claims: Sequence[Claim]) -> str:
    """The text of a test module that tells, for each claim, what its call gives."""
    data = [
        {
            "imports": claim.imports,
            "code": claim.code,
            "subject": claim.subject,
            "expression": is_expression(claim.subject),
            "literal": {
                r: s.text if s and s.kind in (Kind.SHOWN, Kind.VALUE) else "" for r, s in _roles(claim).items()
            },
            **{r: {"kind": s.kind, "text": s.text, "exact": s.exact} if s else None for r, s in _roles(claim).items()},
        }
        for claim in claims
    ]
    return _TEMPLATE.format(claims=json.dumps(data), mark=_MARK)


def look(worker: Worker, path: str, claims: Sequence[Claim], allowance: Allowance) -> list[list[Seen | None]]:
    """What each claim's call gives in each of `RUNS` runs; None where a run ended without an answer. The module of
    `probe_module` must be at `path` in the worker's session. Raises `WorkerDied`."""
    found: list[list[Seen | None]] = [[] for _ in claims]
    share = replace(allowance, deferred=0.0).within(allowance.seconds / RUNS)
    for _ in range(RUNS):
        answer = worker.ask("fresh", share.seconds + 15, select=[path], **share.as_fields())
        outcomes, failures = outcomes_of(answer), failures_of(answer)
        for number, runs in enumerate(found):
            test = f"{path}::test_look[{number}]"
            failed = failures.get(test) if outcomes.get(test) is Outcome.FAILED else None
            runs.append(_seen(failed[0].message) if failed else None)
    return found


def _seen(message: str) -> Seen | None:
    if not message.startswith(_MARK):
        return None
    try:
        raw: Any = json.loads(message.removeprefix(_MARK))
        types = tuple(str(name)[:120] for name in raw["types"])
        flags = {name: bool(raw[name]) for name in ("inside", "reached", "text", "nothing", "printed", "equal")}
        expected, actual, shown = (None if raw[r] is None else bool(raw[r]) for r in ("expected", "actual", "shown"))
        return Seen(types, str(raw["message"])[:200], expected=expected, actual=actual, shown=shown,
                    saw=str(raw["saw"])[:300], **flags)  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return None


def _roles(claim: Claim) -> dict[str, Stated | None]:
    return {"expected": claim.expected, "actual": claim.actual, "shown": claim.shown}
