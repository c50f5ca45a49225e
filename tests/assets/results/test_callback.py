"""The signed callback: what it says, to whom, how often, and what it never does."""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from assets.results import callback, notices
from assets.results.callback import Callback, open_callback
from assets.results.channels import open_channels
from assets.results.notices import Unsent, channel_state, count_due, note_new
from core import approvals, tasks
from core.dead_letters import list_dead_letters, replay
from core.events import DEFAULT_TEAM, OUTCOMES
from core.http.addresses import AddressRefused, is_public, public_addresses
from core.settings import SettingsError, load_settings
from core.work import VerdictKind
from tests.assets.results.conftest import World
from tests.loopback_server import FaultyHandler, LoopbackServer

KEYS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2Vjb25kIGtleSBvZiB0aGUgdGVzdHM=")

pytestmark = pytest.mark.parametrize("world", ["gitea"], indirect=True)


class _Handler(FaultyHandler):
    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.owner.received.append((dict(self.headers), raw))
        fault = self.fault()
        if fault == "moved":
            self.send(307, b"", {"Location": f"{self.owner.url}/elsewhere"})
        elif fault == "lost":
            self.close_connection = True
        elif not self.misbehaved(fault):
            self.answer(200, {})


class Receiver(LoopbackServer):
    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        super().__init__(_Handler)

    def bodies(self) -> list[dict[str, Any]]:
        """Each of them, once its signature is verified with either key."""
        made = []
        for headers, raw in self.received:
            for key in KEYS:
                Webhook(key).verify(raw, headers)
            made.append(json.loads(raw))
        return made

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.received]


@pytest.fixture
def receiver(world: World) -> Iterator[Receiver]:
    made = Receiver()
    world.settings(callback_url=f"{made.url}/penstock", callback_secret=SecretStr(",".join(KEYS)))
    world.deliver()
    yield made
    made.stop()


def due(world: World) -> int:
    with world.platform.database.system() as connection:
        return count_due(connection, open_channels(world.platform.settings))


def again(world: World) -> None:
    """Another try, without its pause."""
    with world.platform.database.system() as connection:
        connection.execute("UPDATE notices SET next_try_at = now() WHERE state = 'pending'")
    world.deliver()


def test_an_outcome_is_told_once_with_what_became_of_it(world: World, receiver: Receiver) -> None:
    attempt = world.start()
    assert due(world) == 0
    world.conclude(attempt)
    assert due(world) > 0
    for _ in range(3):
        world.deliver()
    [pull] = world.branch_pulls(attempt)
    [body] = receiver.bodies()
    assert receiver.ids() == [f"penstock:outcome:{attempt.task.id}:1"]
    assert body["type"] == "penstock.task.closed"
    assert body["data"] == {
        "task": str(attempt.task.id),
        "attempt": 1,
        "source": "shop",
        "state": "resolved",
        "verdict": "pass",
        "draft_because": [],
        "ticket": {"service": "gitea", "project": "acme/shop", "key": attempt.task.ticket_key, "url": None},
        "publication": {"target": "gitea:acme/shop", "state": "published", "location": pull.url, "reason": None},
    }
    assert due(world) == 0


def test_outcomes_without_a_publication_are_told_too(world: World, receiver: Receiver) -> None:
    attempt = world.start()
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, world.platform.log, attempt.task.id)
    world.deliver()
    [body] = receiver.bodies()
    assert (body["data"]["state"], body["data"]["publication"]) == ("cancelled", None)


def test_a_held_patch_is_told_again_when_it_is_published(world: World, receiver: Receiver) -> None:
    world.settings(approval="all")
    attempt = world.start()
    world.conclude(attempt)
    for _ in range(3):
        world.deliver()
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        approvals.approve(connection, attempt.task.id, "ada")
    assert due(world) == 0, "it waits for the publication"
    for _ in range(3):
        world.deliver()
    outcome = f"penstock:outcome:{attempt.task.id}:1"
    assert receiver.ids() == [outcome, f"{outcome}:published"]
    first, second = receiver.bodies()
    assert first["data"]["publication"]["state"] == "held"
    assert (second["type"], second["data"]["publication"]["state"]) == ("penstock.publication.changed", "published")
    assert due(world) == 0


def test_what_was_told_in_vain_is_not_changed_afterwards(world: World, receiver: Receiver) -> None:
    world.settings(approval="all")
    receiver.faults.append("lost")
    attempt = world.start()
    world.conclude(attempt)
    world.deliver()
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        approvals.approve(connection, attempt.task.id, "ada")
    world.deliver()
    assert len(world.branch_pulls(attempt)) == 1
    for _ in range(2):
        again(world)
    states = [body["data"]["publication"]["state"] for body in receiver.bodies()]
    assert states == ["held", "held", "published"]


def test_a_pending_publication_is_waited_for(world: World, receiver: Receiver) -> None:
    attempt = world.start()
    world.arena.forge.add_fault("status", path="/pulls", status=503, times=9)
    world.conclude(attempt)
    world.deliver()
    assert receiver.received == []
    world.arena.forge.clear_faults()
    world.deliver()
    assert [body["data"]["publication"]["state"] for body in receiver.bodies()] == ["published"]


@pytest.mark.parametrize("fault", ["500", "410", "lost", "moved"])
def test_a_failed_try_is_repeated_with_the_same_id_and_body(world: World, receiver: Receiver, fault: str) -> None:
    receiver.faults.extend([fault, fault])
    attempt = world.start()
    world.conclude(attempt)
    world.deliver()
    world.deliver()
    assert len(receiver.received) == 1, "it pauses"
    with world.platform.database.system() as connection:
        row = connection.execute("SELECT extract(epoch FROM next_try_at - now()) FROM notices").fetchone()
        state = channel_state(connection, "callback")
        assert row is not None and 6 < float(row[0]) < 13
    assert (state.waiting, state.dead) == (1, 0)
    assert fault == "lost" or {"moved": "307"}.get(fault, fault) in (state.error or "")
    assert all(key not in (state.error or "") for key in KEYS)
    again(world)
    again(world)
    again(world)
    assert len(receiver.received) == 3
    assert len({raw for _, raw in receiver.received}) == 1
    assert len(set(receiver.ids())) == 1
    assert all(headers["Host"] and "elsewhere" not in str(headers) for headers, _ in receiver.received)
    receiver.bodies()


def test_the_doctor_says_what_a_receiver_answers(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.cli import platform, task

    monkeypatch.setattr(task, "opened", lambda: nullcontext(world.platform.database))
    assert platform._channels(world.platform.settings) == [("callback", "ok", "nothing has failed")]
    receiver.faults.append("410")
    world.conclude(world.start())
    world.deliver()
    [(name, state, detail)] = platform._channels(world.platform.settings)
    assert (name, state) == ("callback", "degraded")
    assert "1 wait after a failed try, 0 are dead letters" in detail and "410" in detail


def test_a_receiver_says_how_long_it_needs(world: World, receiver: Receiver) -> None:
    receiver.faults.append("429:900")
    world.conclude(world.start())
    world.deliver()
    with world.platform.database.system() as connection:
        row = connection.execute("SELECT extract(epoch FROM next_try_at - now()) FROM notices").fetchone()
    assert row is not None and 890 < float(row[0]) <= 900


def test_a_receiver_that_stays_away_leaves_dead_letters_and_delays_little(world: World, receiver: Receiver) -> None:
    receiver.always = "503"
    attempts = [world.start() for _ in range(3)]
    for attempt in attempts:
        world.conclude(attempt)
    world.deliver()
    assert len(receiver.received) == 1, "after one failure the others wait for the next time"
    with world.platform.database.system() as connection:
        connection.execute("UPDATE notices SET tries = %s", (notices.MAX_TRIES,))
    for _ in attempts:
        again(world)
    letters = list_dead_letters(world.platform.database, DEFAULT_TEAM)
    assert [letter.kind for letter in letters] == ["notice"] * 3
    assert "503" in letters[0].reason
    receiver.always = ""
    receiver.received.clear()
    for letter in letters:
        replay(world.platform.database, world.platform.log, letter, DEFAULT_TEAM)
    world.deliver()
    assert sorted(receiver.ids()) == sorted(f"penstock:outcome:{attempt.task.id}:1" for attempt in attempts)
    assert list_dead_letters(world.platform.database, DEFAULT_TEAM) == []


def test_whoever_notes_an_outcome_it_has_one_row(world: World, receiver: Receiver) -> None:
    for _ in range(5):
        world.conclude(world.start())
    [channel] = open_channels(world.platform.settings)
    with ThreadPoolExecutor(4) as pool:
        started = threading.Barrier(4)

        def note(number: int) -> None:
            started.wait(60)
            note_new(world.platform.database, world.platform.log, channel)

        assert list(pool.map(note, range(4))) == [None] * 4
    with world.platform.database.system() as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT id) FROM notices").fetchone() == (5, 5)


def test_a_process_that_is_killed_while_it_sends_sends_again(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Callback.send

    def killed(self: Callback, *arguments: Any) -> None:
        send(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Callback, "send", killed)
    world.conclude(world.start())
    with pytest.raises(KeyboardInterrupt):
        world.deliver()
    monkeypatch.setattr(Callback, "send", send)
    world.deliver()
    assert len(receiver.received) == 1, "its try is not over"
    again(world)
    assert len(receiver.received) == 2
    assert len(set(receiver.ids())) == 1


def test_only_the_default_teams_outcomes_are_told(world: World, receiver: Receiver) -> None:
    team = uuid.uuid4()
    event = tasks.request_event(team, "x:1", "/x", "shop", title="t").model_copy(update={"type": tasks.CLOSED})
    with world.platform.database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (team,))
    world.platform.log.append([(OUTCOMES, event)])
    world.deliver()
    assert receiver.received == []
    assert due(world) == 0


def test_a_wrong_key_does_not_verify(world: World, receiver: Receiver) -> None:
    world.conclude(world.start(), VerdictKind.FAIL)
    world.deliver()
    [(headers, raw)] = receiver.received
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_d3Jvbmc=").verify(raw, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(KEYS[0]).verify(raw + b" ", headers)


# Where it connects to


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("64:ff9b::5db8:d822", True),
        *((address, False) for address in ("10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1")),
        *((address, False) for address in ("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fd00::1")),  # noqa: S104
        *((address, False) for address in ("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "::")),
    ],
)
def test_private_addresses_are_known(world: World, address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_name_that_leads_into_the_own_network_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(host: str, port: int, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in ("93.184.216.34", "10.0.0.7")]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.7"):
        public_addresses("hooks.example.org", 443)
    sender = Callback("https://hooks.example.org/x", KEYS)
    with pytest.raises(Unsent, match="PENSTOCK_CALLBACK_PRIVATE"):
        sender.send("id", {}, 1)


def test_the_checked_address_is_connected_to_and_the_host_is_named(world: World, receiver: Receiver) -> None:
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    port = receiver.url.rpartition(":")[2]
    sender = Callback(f"http://hooks.example.org:{port}/x", KEYS, resolve=resolve)
    sender.send("id-1", {"type": "x"}, 1)
    assert asked == [("hooks.example.org", int(port))]
    assert receiver.received[0][0]["Host"] == f"hooks.example.org:{port}"
    receiver.bodies()


def test_the_certificate_is_the_hosts(world: World) -> None:
    _, url, extensions = Callback("https://hooks.example.org/x", KEYS, resolve=lambda *_: ["2606:2800::1"])._service(
        1, {}
    )
    assert (url, extensions) == ("https://[2606:2800::1]:443/x", {"sni_hostname": "hooks.example.org"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"callback_url": "http://hooks.example.org/", "callback_secret": KEYS[0]}, "https"),
        ({"callback_url": "https://u:p@hooks.example.org/", "callback_secret": KEYS[0]}, "https"),
        ({"callback_url": "https://hooks.example.org/"}, "callback_secret"),
        ({"callback_url": "https://hooks.example.org/", "callback_secret": "plain"}, "whsec_"),
        ({"callback_url": "https://hooks.example.org/", "callback_secret": "whsec_%%"}, "base64"),
        ({"callback_url": "https://hooks.example.org/", "callback_secret": "whsec_YWJj"}, "too short"),
        ({"callback_secret": KEYS[0]}, "callback_url"),
        ({"mail_to": "team@example.org"}, "mail_server"),
    ],
)
def test_settings_that_are_not_safe_are_refused(world: World, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(**given)


def test_a_receiver_in_the_own_network_is_a_setting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(callback, "Callback", lambda *given, resolve: made.append(resolve))
    for private in (False, True):
        given: dict[str, Any] = {"callback_private": private, "callback_secret": KEYS[0]}
        open_callback(load_settings(callback_url="https://hooks.example.org/", **given))
    assert made == [public_addresses, None]
