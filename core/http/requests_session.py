"""A session of `requests` whose requests are sent by a `core.http` transport, for clients that are built on requests.

Imports requests and httpx: import it late.
"""

from typing import Any

import httpx
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from core.http.transport import Transport


class _Adapter(BaseAdapter):
    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Raises the errors of `core.http`, not those of requests."""
        body = request.body or b""
        if not isinstance(body, str | bytes):
            raise TypeError("only whole bodies are sent")
        headers = {name: value for name, value in request.headers.items() if isinstance(value, str)}
        sent = httpx.Request(request.method or "GET", request.url or "", headers=headers, content=body)
        answer = self._transport.handle_request(sent)
        made = requests.Response()
        made.status_code = answer.status_code
        made.headers = CaseInsensitiveDict(answer.headers.multi_items())
        made._content = answer.content
        made.url = request.url or ""
        made.request = request
        made.encoding = "utf-8"
        return made

    def close(self) -> None:
        """The connections are the service's."""


def session_over(transport: Transport) -> requests.Session:
    """A session that sends everything by `transport`; it uses neither the environment's proxies nor its credentials."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(transport))
    return session
