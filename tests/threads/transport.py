"""Requests of a client to a service in this process, as the routes make them, over a network that may lose and repeat
them."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from threads.client.transport import Offline, Refused
from threads.model import Push, Sharing
from threads.service import Member, ThreadError, ThreadService


class DirectTransport:
    """`fate` says what becomes of each request, by its path: "" (it is served), "request" (it is lost), "answer" (the
    answer is lost), "twice" (it arrives twice). `served` is told of each answer that was given."""

    def __init__(self, service: ThreadService, run: Callable[..., Any], who: Member) -> None:
        self.service, self.run, self.who = service, run, who
        self.fate: Callable[[str], str] = lambda path: ""
        self.served: Callable[[str, Any], None] = lambda path, answer: None
        self.pushed: list[dict[str, Any]] = []

    def request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, wait: float = 0.0
    ) -> Any:
        fate = self.fate(path)
        if fate == "request":
            raise Offline("the request is lost")
        if path == "/sync/push":
            self.pushed.append(json.loads(json.dumps(body)))
        try:
            if fate == "twice":
                self.run(self.serve(path, dict(query or {}), body))
            answer = self.run(self.serve(path, dict(query or {}), body))
        except ThreadError as error:
            if fate == "answer":
                raise Offline("the answer is lost") from error
            raise Refused(error.status, {"error": str(error), "code": error.code, **error.more}) from error
        self.served(path, answer)
        if fate == "answer":
            raise Offline("the answer is lost")
        return answer

    async def serve(self, path: str, query: dict[str, Any], body: Any) -> Any:
        client = uuid.UUID(query["client"]) if query.get("client") else None
        if path == "/sync/push":
            return json.loads(json.dumps(await self.service.push(self.who, Push.model_validate(body))))
        if path == "/sync/pull":
            return json.loads(await self.service.pull(self.who, client, query["cursor"]))
        _, _, thread, *rest = path.split("/")
        identity = uuid.UUID(thread)
        if rest == ["ops"]:
            return json.loads(await self.service.ops(self.who, identity, client, query["after"], query["limit"]))
        if rest == ["sharing"]:
            return await self.service.share(self.who, identity, Sharing.model_validate(body))
        return json.loads(await self.service.show(self.who, identity))
