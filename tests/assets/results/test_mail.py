"""Mail for what needs a person, over SMTP to a server on loopback."""

import datetime
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from assets.results.mail import Mail
from assets.results.notices import Notice, Unsent, channel_state
from core import approvals, smtp
from core.eventlog.postgres import PostgresLog
from core.events import DEAD_LETTERS, DEFAULT_TEAM, Event
from core.settings import SettingsError, load_settings
from core.work import VerdictKind
from tests.assets.results.conftest import World
from tests.smtp_server import SmtpServer

SENDER, RECEIVERS = "penstock@example.org", ("ada@example.org", "ops@example.org")
DAY = datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.UTC)


@pytest.fixture
def posted(world: World, server: SmtpServer) -> World:
    """The world, with mail to the server."""
    world.settings(
        mail_server=SecretStr(f"smtp://127.0.0.1:{server.port}"), mail_from=SENDER, mail_to=RECEIVERS, approval="all"
    )
    world.deliver()
    return world


def again(world: World) -> None:
    with world.platform.database.system() as connection:
        connection.execute("UPDATE notices SET next_try_at = now() WHERE state = 'pending'")
    world.deliver()


only_gitea = pytest.mark.parametrize("world", ["gitea"], indirect=True)


@only_gitea
def test_a_held_patch_asks_for_approval(posted: World, server: SmtpServer) -> None:
    attempt = posted.start()
    posted.conclude(attempt)
    for _ in range(3):
        posted.deliver()
    [received] = server.received
    message = received.message
    assert (received.sender, tuple(received.receivers)) == (SENDER, RECEIVERS)
    assert message["Subject"] == "[Penstock] shop: It fails - waits for approval"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert f"penstock task approve {attempt.task.id}" in message.get_content()

    with posted.platform.database.team(DEFAULT_TEAM) as connection:
        approvals.approve(connection, attempt.task.id, "ada")
    for _ in range(3):
        posted.deliver()
    assert len(posted.branch_pulls(attempt)) == 1
    assert len(server.received) == 1, "what was published needs nobody"


@only_gitea
def test_mail_of_a_task_is_a_thread(posted: World, server: SmtpServer) -> None:
    attempt = posted.start()
    posted.conclude(attempt, VerdictKind.FAIL)
    posted.deliver()
    other = posted.start()
    posted.conclude(other)
    for _ in range(2):
        posted.deliver()
    first, second = (received.message for received in server.received)
    assert "has no result" in first["Subject"] and f"penstock task retry {attempt.task.id}" in first.get_content()
    assert first["In-Reply-To"] == first["References"] == f"<task.{attempt.task.id}@example.org>"
    assert first["Message-ID"] != second["Message-ID"]
    assert all(re.fullmatch("<[0-9a-f-]{36}@example.org>", one["Message-ID"]) for one in (first, second))
    assert second["In-Reply-To"] == f"<task.{other.task.id}@example.org>"


@only_gitea
def test_what_needs_nobody_is_not_written_about(posted: World, server: SmtpServer) -> None:
    posted.settings(approval="none")
    posted.conclude(posted.start())
    for _ in range(3):
        posted.deliver()
    assert server.received == []
    with posted.platform.database.system() as connection:
        assert connection.execute("SELECT state FROM notices").fetchall() == [("skipped",)]


@only_gitea
def test_a_publication_that_failed_for_good_is_written_about(posted: World, server: SmtpServer) -> None:
    posted.settings(approval="none")
    attempt = posted.start()
    posted.conclude(attempt)
    with posted.platform.database.system() as connection:
        connection.execute("UPDATE publications SET state = 'dead-lettered', last_error = 'the forge\r\nBcc: x@y.z'")
    posted.deliver()
    [received] = server.received
    assert "could not be published" in received.message["Subject"]
    assert "Why: the forge  Bcc: x@y.z" in received.message.get_content()
    assert received.message["Bcc"] is None


@only_gitea
def test_an_unreadable_record_is_written_about(posted: World, server: SmtpServer) -> None:
    data = {"topic": "penstock.tasks", "partition": 0, "offset": 7, "reason": "not JSON"}
    event = Event(id="dead:1", source="/x", type="penstock.event.unreadable", subject="penstock.tasks", data=data)
    PostgresLog(posted.platform.database).append([(DEAD_LETTERS, event)])
    posted.deliver()
    assert server.received[0].message["Subject"] == "[Penstock] a dead letter: penstock.tasks 0:7"
    assert "penstock dead-letters show dead:1" in server.received[0].message.get_content()


@only_gitea
@pytest.mark.parametrize("fault", ["451 later", "554 no", "drop"])
def test_a_failed_try_is_repeated_as_the_same_message(posted: World, server: SmtpServer, fault: str) -> None:
    server.faults.append(fault)
    posted.conclude(posted.start(), VerdictKind.FAIL)
    posted.deliver()
    with posted.platform.database.system() as connection:
        state = channel_state(connection, "mail")
    assert state.waiting == 1
    assert fault == "drop" or fault in (state.error or "")
    again(posted)
    again(posted)
    assert len(server.received) == (2 if fault == "drop" else 1)
    assert len({received.raw for received in server.received}) == 1


def notice(title: Any, reason: str = "", **changed: Any) -> Notice:
    event = {"title": title, "source": "shop", "state": "failed", "reason": reason}
    made = {"id": "penstock:outcome:1:1", "at": DAY, "task_id": uuid.UUID(int=7), "attempt": 1, "event": event}
    return Notice(**{**made, "ticket": None, "publication": None, "later": False, **changed})  # type: ignore[arg-type]


def send(server: SmtpServer, given: Notice, login: str = "") -> Any:
    made = Mail(f"smtp://{login}127.0.0.1:{server.port}", SENDER, RECEIVERS)
    body = made.body(given)
    assert body is not None
    made.send(given.id, body, 1)
    return server.received[-1]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300), st.text(st.sampled_from("ab:\r\n. @,<>\u2028\u0085\x0b\x00é"), max_size=400))
def test_no_text_adds_a_header_or_a_receiver(server: SmtpServer, title: str, reason: str) -> None:
    received = send(server, notice(title + reason, reason + title))
    expected = {
        *("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    }
    assert sorted(received.message.keys()) == sorted(expected)
    assert (received.sender, tuple(received.receivers)) == (SENDER, RECEIVERS)
    assert received.message["To"] == ", ".join(RECEIVERS)
    assert all(len(line) <= 998 for line in received.raw.split(b"\r\n"))
    assert re.search(rb"[^\r]\n", received.raw) is None


@pytest.mark.parametrize("injected", ["x\r\nBcc: eve@example.org", "x\nBcc: eve@example.org", "x\r\n\r\n<b>html</b>"])
def test_a_title_stays_one_line(server: SmtpServer, injected: str) -> None:
    received = send(server, notice(injected))
    assert received.message["Bcc"] is None
    assert received.message["Subject"].startswith(f"[Penstock] shop: {' '.join(injected.split())}")
    assert received.message.get_content_type() == "text/plain"


def test_a_dot_on_a_line_ends_nothing(server: SmtpServer) -> None:
    received = send(server, notice("x", "y", event={"title": ".", "source": "shop", "state": "failed"}))
    assert received.message.get_content().startswith(".\r\n")


def test_a_login_is_used_and_its_refusal_shows_no_password(server: SmtpServer) -> None:
    server.known = ("me@x", "p:w/d")
    assert send(server, notice("x"), "me%40x:p%3Aw%2Fd@").login == server.known
    with pytest.raises(Unsent, match="refuses the user or password") as found:
        send(server, notice("x"), "me:hunter2@")
    assert "hunter2" not in str(found.value)


def test_a_password_is_not_sent_without_tls(server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "is_loopback", lambda host: False)
    server.known = ("me", "hunter2")
    with pytest.raises(Unsent, match="offers no TLS"):
        send(server, notice("x"), "me:hunter2@")
    assert send(server, notice("x")).login is None


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    def make(host: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        files = tmp_path / "c.pem", tmp_path / "k.pem"
        files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(key.private_bytes(*form))
        return files

    return make


@pytest.mark.parametrize(("host", "taken"), [("localhost", True), ("mail.example.org", False)])
def test_tls_is_used_where_it_is_offered_and_its_certificate_checked(
    certificate: Callable[[str], tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch, host: str, taken: bool
) -> None:
    files = certificate(host)
    server = SmtpServer(*files)
    made = Mail(f"smtp://localhost:{server.port}", SENDER, RECEIVERS)
    body = made.body(notice("x"))
    assert body is not None
    with pytest.raises(Unsent, match="certificate"):
        made.send("id", body, 1)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    if taken:
        made.send("id", body, 1)
        assert server.received[-1].secure
    else:
        with pytest.raises(Unsent, match="certificate"):
            made.send("id", body, 1)
        assert server.received == []
    server.stop()


def test_one_wrong_receiver_keeps_it_from_no_other(server: SmtpServer) -> None:
    server.refused = {RECEIVERS[0]}
    assert send(server, notice("x")).receivers == [RECEIVERS[1]]
    server.refused = set(RECEIVERS)
    with pytest.raises(Unsent, match="refuses every receiver"):
        send(server, notice("x"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mail_server": "imap://x"}, "smtp://"),
        ({"mail_server": "smtp://x/path"}, "smtp://"),
        ({"mail_server": "smtp://x:port"}, "smtp://"),
        ({"mail_server": "smtp://x"}, "mail_from and mail_to"),
        ({"mail_server": "smtp://x", "mail_from": "a@b\r\nBcc: c@d", "mail_to": "a@b"}, "not an address"),
        ({"mail_server": "smtp://x", "mail_from": "a@b", "mail_to": "a@b, c@d\ne@f"}, "not an address"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(**given)


def test_receivers_are_separated_by_commas() -> None:
    made = load_settings(mail_server="smtps://u:p@x:465", mail_from=SENDER, mail_to="ada@example.org, ops@example.org")
    assert made.mail_to == RECEIVERS
