"""A bucket of documents and files with quotas. Files are addressed by their content: the same one twice is kept once.

Documents are part of the state (1 MiB together); files are kept beside it, 700 KB each.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.schemas import ANYTHING
from objects.types.native import Native, fields, full, text, whole

MOST_DOCUMENTS = 5000
MOST_FILES = 5000
FILE_BYTES = 700_000
DOCUMENTS_BYTES = 900_000
_NAME = text(300, 1)


class Storage(Native):
    spec = TypeSpec(
        name="storage",
        version=1,
        description="A bucket of documents and files, content-addressed, with a quota.",
        labels={"purpose": "storage"},
        initial={"documents": {}, "files": {}, "quota": 100_000_000},
        methods={
            "put": Method(
                argument=fields({"name": _NAME, "document": ANYTHING}, {"version": whole()}),
                answer=fields({"version": whole(1)}),
                description="Stores a document. With `version`, only over that version (0: only if there is none).",
            ),
            "get": Method(
                reading=True,
                argument=fields({"name": _NAME}),
                answer=fields({"document": ANYTHING, "version": whole(1)}),
            ),
            "put_file": Method(
                argument=fields({"name": _NAME, "content": text(960_000)}, {"media_type": text(200)}),
                answer=fields({"sha256": text(64, 64), "size": whole()}),
                description="Stores a file; `content` is base64.",
            ),
            "get_file": Method(
                reading=True,
                outside=True,
                argument=fields({"name": _NAME}),
                answer=fields({"content": text(960_000), "media_type": text(200), "sha256": text(64, 64)}),
            ),
            "remove": Method(argument=fields({"name": _NAME})),
            "list": Method(
                reading=True,
                argument=fields({}, {"prefix": text(300), "after": text(300), "limit": whole(1, 1000)}),
                answer={"type": "array"},
            ),
            "usage": Method(reading=True, argument=fields({}), answer={"type": "object"}),
            "set_quota": Method(argument=fields({"bytes": whole(0, 10**12)})),
        },
    )

    def on_put(self, state: Any, message: Message) -> Step:
        name, document = message.argument["name"], message.argument["document"]
        before = state["documents"].get(name)
        expected = message.argument.get("version")
        now = before["version"] if before else 0
        if expected is not None and expected != now:
            raise Refused("version", f"the document has version {now}")
        size = len(json.dumps(document))
        made = {"version": now + 1, "size": size, "at": message.now, "document": document}
        documents = {**state["documents"], name: made}
        if len(documents) > MOST_DOCUMENTS:
            raise full("documents", MOST_DOCUMENTS)
        if sum(one["size"] for one in documents.values()) > DOCUMENTS_BYTES:
            raise Refused("full", f"the documents of a bucket have at most {DOCUMENTS_BYTES:,} bytes together")
        return Step({"version": now + 1}, _within({**state, "documents": documents}))

    def on_get(self, state: Any, message: Message) -> Step:
        found = state["documents"].get(message.argument["name"])
        if found is None:
            raise Refused("no-such-document", "the bucket has no document of this name")
        return Step({"document": found["document"], "version": found["version"]})

    def on_put_file(self, state: Any, message: Message) -> Step:
        try:
            content = base64.b64decode(message.argument["content"], validate=True)
        except (binascii.Error, ValueError):
            raise Refused("content", "the content is not base64") from None
        if len(content) > FILE_BYTES:
            raise Refused("too-large", f"a file has at most {FILE_BYTES:,} bytes")
        sha256 = hashlib.sha256(content).hexdigest()
        name = message.argument["name"]
        made = {"sha256": sha256, "size": len(content), "at": message.now}
        made["media_type"] = message.argument.get("media_type", "application/octet-stream")
        before, files = state["files"].get(name), {**state["files"], name: made}
        if len(files) > MOST_FILES:
            raise full("files", MOST_FILES)
        effects: list[Mapping[str, Any]] = [
            {"kind": "blob", "sha256": sha256, "content": base64.b64encode(content).decode()}
        ]
        effects += _unused(files, before)
        return Step({"sha256": sha256, "size": len(content)}, _within({**state, "files": files}), effects)

    def plan_get_file(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        found = state["files"].get(message.argument["name"])
        return {"do": "blobs", "sha256": [found["sha256"]]} if found else None

    def on_get_file(self, state: Any, message: Message) -> Step:
        found = state["files"].get(message.argument["name"])
        if found is None or not message.outside:
            raise Refused("no-such-file", "the bucket has no file of this name")
        content = message.outside[found["sha256"]]
        return Step({"content": content, "media_type": found["media_type"], "sha256": found["sha256"]})

    def on_remove(self, state: Any, message: Message) -> Step:
        name = message.argument["name"]
        if name not in state["documents"] and name not in state["files"]:
            raise Refused("no-such-name", "the bucket has nothing of this name")
        files = {other: one for other, one in state["files"].items() if other != name}
        documents = {other: one for other, one in state["documents"].items() if other != name}
        changed = {**state, "files": files, "documents": documents}
        return Step(None, changed, _unused(files, state["files"].get(name)))

    def on_list(self, state: Any, message: Message) -> Step:
        argument = message.argument
        prefix, after, limit = argument.get("prefix", ""), argument.get("after", ""), argument.get("limit", 100)
        everything = [
            *({"name": n, "kind": "document", "size": d["size"], "at": d["at"]} for n, d in state["documents"].items()),
            *({"name": n, "kind": "file", "size": f["size"], "at": f["at"]} for n, f in state["files"].items()),
        ]
        fitting = [one for one in everything if one["name"].startswith(prefix) and one["name"] > after]
        return Step(sorted(fitting, key=lambda one: str(one["name"]))[:limit])

    def on_usage(self, state: Any, message: Message) -> Step:
        return Step(
            {
                "documents": len(state["documents"]),
                "files": len(state["files"]),
                "bytes": _used(state),
                "quota": state["quota"],
            }
        )

    def on_set_quota(self, state: Any, message: Message) -> Step:
        return Step(None, {**state, "quota": message.argument["bytes"]})


def _used(state: Any) -> int:
    blobs = {one["sha256"]: one["size"] for one in state["files"].values()}
    return int(sum(one["size"] for one in state["documents"].values()) + sum(blobs.values()))


def _within(state: Any) -> Any:
    if (used := _used(state)) > state["quota"]:
        raise Refused("quota", f"it would hold {used:,} bytes, the quota is {state['quota']:,}")
    return state


def _unused(files: Mapping[str, Any], before: Any) -> list[Mapping[str, Any]]:
    """Drops the content that a name had before, unless another name has it too."""
    if before is None or any(one["sha256"] == before["sha256"] for one in files.values()):
        return []
    return [{"kind": "drop_blob", "sha256": before["sha256"]}]
