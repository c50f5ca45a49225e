"""Lets a chat model write a service: it drafts code, manifest and scenarios, each draft is tried in the sandbox and
judged by the gate, and what was wrong is told to it, until a draft passes or the rounds are used up.

The model decides nothing: what it hands in is submitted like code of a person, and judged again.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from core.chat.protocol import BadAnswer, ChatModel, Message, Usage, system, user
from objects.catalogue import CodeRow
from objects.custom.acceptance import try_code
from objects.gate import Verdict, code_hash, judge
from objects.manifest import BadManifest, read_manifest
from objects.scenarios import BadScenario, check_scenarios
from sandbox.protocol import Sandbox

ROUNDS = 4
ANSWER_TOKENS = 6000
SECONDS = 180.0
MOST_WISH = 8000
_TOLD_REASONS = 12

INSTRUCTIONS = """\
You write one small service as a Python module with a function `handle(state, message)`, its manifest, and \
scenarios that test it.

`state` is JSON, `manifest.initial` at first. `message` is a dict: method, argument, id, now (seconds since 1970), \
key, caller. Return (state, result) or (state, result, effects). To refuse: `raise Refused("short-code", "why")`; \
Refused is defined already. Keep nothing outside the state: no module variables, no files, no network. The \
standard library only. Never raise anything else, whatever the argument, as long as it fits its schema; let the \
schema refuse the rest.

Effects, all optional: {"kind": "emit", "type": "name", "data": {}}, {"kind": "alarm", "name": "n", "after": \
seconds, "method": "m", "argument": {}}, {"kind": "cancel", "name": "n"}, {"kind": "send", "type": "t", "key": \
"k", "method": "m", "argument": {}}.

The manifest is JSON: {"description": "...", "initial": STATE, "methods": {"name": {"description": "...", \
"reading": false, "internal": false, "argument": SCHEMA, "answer": SCHEMA}}}. `reading` methods return the state \
unchanged and no effects. `internal` methods are for alarms and messages only. SCHEMA is JSON Schema with only: \
type, properties, required, additionalProperties, items, enum, const, minimum, maximum, minLength, maxLength, \
minItems, maxItems. Give every method an argument schema with additionalProperties false and limits for texts, \
numbers and lists.

Scenarios are a JSON list: {"name": "...", "steps": [{"call": "method", "argument": {}, "answer": EXACT or \
"includes": PART or "refused": "code"}, {"restart": true}], "state": FINAL STATE}. `answer`, `includes`, `refused` \
and `state` are optional.
"""


class Draft(BaseModel):
    """What a model answers. Manifest and scenarios are JSON texts, since models fill in texts more reliably."""

    source: str = Field(description="The Python module.")
    manifest: str = Field(description="The manifest, as JSON text.")
    scenarios: str = Field(default="[]", description="The scenarios, as JSON text.")


@dataclass(frozen=True)
class Written:
    """The last draft with the gate's verdict, which is None if it could not even be tried; then `problem` says why."""

    source: str
    manifest: Any
    scenarios: list[Any]
    verdict: Verdict | None
    problem: str
    rounds: int
    usage: Usage = field(default_factory=Usage)

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.passed


def write(
    chat: ChatModel,
    sandbox: Sandbox,
    name: str,
    wish: str,
    scenarios: Sequence[Any] = (),
    *,
    rounds: int = ROUNDS,
    step: Callable[[str], None] = lambda text: None,
) -> Written:
    """Has a service written. `scenarios` came with the wish: every draft must pass them, whatever it brings itself.
    Raises `core.chat.ChatUnavailable` and `objects.model.Unavailable`."""
    tests = f"\n\nIt must pass these scenarios:\n{json.dumps(list(scenarios), indent=1)}" if scenarios else ""
    messages: list[Message] = [
        system(INSTRUCTIONS),
        user(f"Write the service {name!r}:\n\n{wish[:MOST_WISH]}{tests}"),
    ]
    written = Written("", {}, list(scenarios), None, "no draft", 0)
    for number in range(1, rounds + 1):
        try:
            answer = chat.complete(messages, schema=Draft, seconds=SECONDS, tokens=ANSWER_TOKENS)
        except BadAnswer as error:
            written = Written(
                "", {}, list(scenarios), None, f"the model's answer is unusable: {error}", number, chat.used
            )
            messages = [*messages[:2], user(f"Your last answer could not be read: {str(error)[:500]}. Answer again.")]
            continue
        assert isinstance(answer.value, Draft)  # noqa: S101  a schema was asked for
        written = _tried(sandbox, name, answer.value, scenarios, number, chat.used)
        reasons = list(written.verdict.reasons) if written.verdict else [written.problem]
        step(
            f"draft {number}: "
            + ("passed" if written.passed else f"{len(reasons)} problems, first: {reasons[0][:200]}")
        )
        if written.passed:
            break
        told = "\n".join(f"- {reason}" for reason in reasons[:_TOLD_REASONS])
        # Only the last draft is repeated, so that prompts stay short.
        again = user(f"It was tried, and refused:\n{told}\n\nHand in all three parts again, corrected.")
        messages = [*messages[:2], answer.message, again]
    return written


def _tried(
    sandbox: Sandbox, name: str, draft: Draft, given: Sequence[Any], number: int, usage: Usage
) -> Written:  # fmt: skip
    scenarios: list[Any] = list(given)
    manifest: Any = {}
    try:
        manifest = json.loads(draft.manifest)
        own = json.loads(draft.scenarios or "[]")
        read_manifest(manifest, name, 1)
        check_scenarios(own)
        scenarios += [one for one in own if one not in scenarios]
        check_scenarios(scenarios)
    except (ValueError, BadManifest, BadScenario, RecursionError) as error:
        problem = f"manifest or scenarios: {type(error).__name__}: {error}"[:600]
        return Written(draft.source, manifest, scenarios, None, problem, number, usage)
    sha256 = code_hash(draft.source, manifest)
    code = CodeRow(
        name, 1, sha256, draft.source, manifest, scenarios, "submitted", None, "model", datetime.now(UTC)
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="penstock-draft-") as folder:
        verdict = judge(sha256, try_code(sandbox, Path(folder), code))
    return Written(draft.source, manifest, scenarios, verdict, "", number, usage)
