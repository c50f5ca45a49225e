"""The page of a durable object in a browser: behind the sign-in, of the person's team alone."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.events import DEFAULT_TEAM
from objects.model import Address, Call
from objects.node import ThreadedNode


@pytest.fixture
def object_a(database_url: str) -> Iterator[None]:
    import time

    node = ThreadedNode(database_url)
    address = Address(DEFAULT_TEAM, "register", "a")
    assert node.call(Call(address, "write", '{"value": "<b>bold</b>"}', "x", "test", time.time() + 20)).ok
    yield
    node.stop()


def test_a_browser_sees_an_object_after_signing_in(
    make_client: Callable[..., TestClient], enter: Callable[..., Any], object_a: None
) -> None:
    stranger = make_client().get("/web/objects/register/a", follow_redirects=False)
    assert stranger.status_code == 303 and "/web/session/renew" in stranger.headers["location"]
    page = enter(role="viewer").get("/web/objects/register/a")
    assert page.status_code == 200 and "&lt;b&gt;bold" in page.text and "<b>bold" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
