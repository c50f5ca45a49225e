"""Reads a request for a service, as people write it in an issue, a task or a thread: the type's name, what it is to do
and, if they bring it, code, manifest and scenarios in fenced blocks.

    Service: account
    An account that ...
    ```python  the handler ```   ```json  the manifest, an object with "methods" ```   ```json  scenarios, a list ```

Of several blocks of a kind the last one counts, so that an answer replaces what was wrong.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from objects.manifest import NAME, BadManifest, read_manifest
from objects.scenarios import BadScenario, check_scenarios

WISH_CHARACTERS = 8000
_BLOCK = re.compile(r"^(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"^[ \t]*(?:service|type)[ \t]*:[ \t]*`?([^\s`]+)`?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_QUOTED = re.compile(r"\bservice[ \t]+(?:(?:called|named)[ \t]+)?[`'\"]([^\s`'\"]+)[`'\"]", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")
_PLAIN = frozenset(
    ("a", "an", "and", "for", "from", "in", "it", "make", "of", "on", "please", "service", "that", "the", "to", "with")
)

HOW = """\
No code came with the request. Answer with a fenced block of Python with a function handle(state, message), a fenced \
block of JSON with its manifest (an object with "methods") and, if you like, one with scenarios (a list). \
docs/objects.md shows an example. Or submit it yourself: penstock object submit {name} FILE --manifest FILE"""
WITHOUT_MODEL = "With a chat model (PENSTOCK_CHAT_MODEL), Penstock writes the code itself."


class BadRequest(ValueError):
    """The request cannot be carried out as it is written; the message says what to change."""


@dataclass(frozen=True)
class ServiceRequest:
    """`source` and `manifest` are both given, or neither."""

    name: str
    wish: str
    source: str | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    scenarios: list[Any] = field(default_factory=list)


def read_request(title: str, body: str, identity: str) -> ServiceRequest:
    """`identity` makes the name of a service unique that the request does not name. Raises `BadRequest`."""
    source, parsed = None, []
    for _, language, text in _BLOCK.findall(body):
        if language.lower() == "json":
            parsed.append(_json(text))
        elif language.lower() in ("python", "py") or text.startswith("#!"):
            source = text
    name = _name(title, body, identity)
    manifest = next((one for one in reversed(parsed) if isinstance(one, dict) and "methods" in one), None)
    scenarios = next((one for one in reversed(parsed) if isinstance(one, list)), [])
    if (source is None) != (manifest is None):
        have, lacks = ("code", "manifest") if manifest is None else ("a manifest", "code")
        raise BadRequest(f"the request brings {have} without {lacks}. {HOW.format(name=name)}")
    try:
        check_scenarios(scenarios)
        if manifest is not None:
            read_manifest(manifest, name, 1)
    except (BadManifest, BadScenario) as error:
        raise BadRequest(f"{error}. Answer with all blocks, corrected.") from None
    wish = _BLOCK.sub("", f"{title}\n\n{body}").strip()
    return ServiceRequest(name, wish[:WISH_CHARACTERS], source, manifest or {}, scenarios)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"a block of JSON cannot be read: {str(error)[:200]}. Answer with it, corrected.") from None


def _name(title: str, body: str, identity: str) -> str:
    """The name that the text gives, the last one if it is corrected; else one of its own, which no other type has."""
    lines = _NAMED.findall(_BLOCK.sub("", body))
    found = lines[-1:] or _QUOTED.findall(title)[:1]
    if not found:
        words = [word[:16] for word in _WORD.findall(title.lower()) if word not in _PLAIN][:3]
        return "-".join([*(words if words and words[0][0].isalpha() else ["service", *words[:2]]), identity])
    name = str(found[0]).lower()
    if NAME.fullmatch(name) is None:
        raise BadRequest(
            f"{name[:63]!r} is no name of a type: lower-case letters, digits and '-', at most 63. "
            "Answer with a line such as: Service: account"
        )
    return name
