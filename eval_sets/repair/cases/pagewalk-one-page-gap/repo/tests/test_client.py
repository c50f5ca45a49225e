import pytest

from pagewalk import Client, Failed, Gone, Refused, Unavailable


class Server:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.slept = []

    def send(self, path, params):
        self.asked.append((path, params))
        status, body, *headers = self.answers.pop(0)
        return status, dict(*headers), body

    def client(self, **options):
        return Client(self.send, self.slept.append, **options)


def test_walking():
    server = Server((200, {"items": [1, 2], "next": "c"}), (503, ""), (200, {"items": [3], "next": None}))
    assert list(server.client().items("/x", kind="a")) == [1, 2, 3]
    assert server.asked[1:] == [("/x", {"kind": "a", "cursor": "c"})] * 2
    assert server.slept == [1.0]


def test_pauses_double():
    server = Server((500, ""), (502, ""), (503, ""), (504, ""))
    with pytest.raises(Unavailable) as caught:
        server.client().get("/x")
    assert caught.value.status == 504
    assert server.slept == [1, 2, 4]


def test_a_pause_that_the_server_asks_for():
    server = Server((429, "", {"Retry-After": "7"}), (200, {}))
    assert server.client().get("/x") == {}
    assert server.slept == [7]


def test_too_long_a_pause():
    server = Server((429, "", {"Retry-After": "3600"}), (200, {}))
    server.client().get("/x")
    assert server.slept == [30]


def test_what_is_not_tried_again():
    for status, kind in ((400, Refused), (403, Refused), (410, Gone)):
        server = Server((status, ""))
        with pytest.raises(kind):
            server.client().get("/x")
        assert not server.slept


def test_exists():
    assert Server((200, {"items": []})).client().exists("/x")
    assert not Server((404, "")).client().exists("/x")
    with pytest.raises(Failed):
        Server((403, "")).client().exists("/x")
