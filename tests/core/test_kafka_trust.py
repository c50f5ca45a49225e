"""TLS and SASL with a real Kafka broker; settings that cannot work are refused by name."""

import io
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.eventlog import EventLogUnavailable, open_log
from core.eventlog.kafka import KafkaLog
from core.eventlog.kafka_settings import client_settings, kafka_log
from core.events import Event
from core.settings import Settings, SettingsError


@pytest.fixture
def make(kafka: Any, tmp_path: Path) -> Callable[..., KafkaLog]:
    """A log at the broker's guarded address."""

    def made(**changed: Any) -> KafkaLog:
        settings = {
            "home": tmp_path,
            "kafka_bootstrap": kafka.secure,
            "kafka_security": "sasl_ssl",
            "kafka_user": "penstock",
            "kafka_password": kafka.password,
            "kafka_ca": kafka.certificate,
        }
        log = kafka_log(Settings(**{**settings, **changed}))
        log._timeout = 5.0
        return log

    return made


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_events_go_to_a_broker_that_requires_tls_and_a_password_and_back(
    make: Callable[..., KafkaLog], mechanism: str
) -> None:
    log = make(kafka_sasl=mechanism)
    topic = f"test.{uuid.uuid4().hex}"
    log.ensure_topics([topic])
    log.append([(topic, Event(id="x:1", source="/test", type="test", subject="source"))])
    batch = log.read(topic, {}, wait=5)
    assert [record.event.id for record in batch.records] == ["x:1"]
    log.commit_group("group", topic, batch.next_offsets)
    assert sum(log.lag("group", topic).values()) == 0
    log.close()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kafka_password": SecretStr("not-the-password")}, "(?i)authentication failed"),
        ({"kafka_ca": None}, "(?i)certificate verify failed|ssl handshake failed"),
    ],
)
def test_a_broker_that_is_not_trusted_or_does_not_trust_us_is_reported_without_the_password(
    make: Callable[..., KafkaLog], kafka: Any, changed: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    log = make(**changed)
    log._timeout = 2.0
    try:
        with pytest.raises(EventLogUnavailable, match=told) as failure:
            log.ensure_topics([f"test.{uuid.uuid4().hex}"])
    finally:
        logging.getLogger().removeHandler(handler)
        log.close()
    said = f"{failure.value!r} {failure.value.__cause__!r} {heard.getvalue()} {log!r}"
    assert "not-the-password" not in said
    assert kafka.password not in said


def test_the_settings_become_those_of_the_client(tmp_path: Path) -> None:
    for name in ("ca.pem", "our.pem", "our.key"):
        (tmp_path / name).write_text("x")
    settings = Settings(
        home=tmp_path,
        event_log="kafka",
        kafka_security="sasl_ssl",
        kafka_sasl="SCRAM-SHA-256",
        kafka_user="penstock",
        kafka_password=SecretStr("hunter-two"),
        kafka_ca=tmp_path / "ca.pem",
        kafka_certificate=tmp_path / "our.pem",
        kafka_key=tmp_path / "our.key",
        kafka_key_password=SecretStr("other"),
    )
    assert client_settings(settings) == {
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(tmp_path / "ca.pem"),
        "ssl_certfile": str(tmp_path / "our.pem"),
        "ssl_keyfile": str(tmp_path / "our.key"),
        "ssl_password": "other",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "penstock",
        "sasl_plain_password": "hunter-two",
    }
    assert client_settings(Settings(home=tmp_path)) == {"security_protocol": "PLAINTEXT"}
    assert "hunter-two" not in f"{settings!r} {settings.model_dump()}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kafka_password": "x"}, "PENSTOCK_KAFKA_PASSWORD is for SASL: set PENSTOCK_KAFKA_SECURITY"),
        ({"kafka_security": "ssl", "kafka_user": "x"}, "PENSTOCK_KAFKA_USER is for SASL"),
        ({"kafka_security": "sasl_ssl"}, "PENSTOCK_KAFKA_USER is not set"),
        ({"kafka_security": "sasl_ssl", "kafka_user": "x"}, "PENSTOCK_KAFKA_PASSWORD is not set"),
        (
            {"kafka_security": "sasl_ssl", "kafka_user": "a=b", "kafka_password": "x"},
            "PENSTOCK_KAFKA_USER holds a comma or an equals sign",
        ),
        ({"kafka_ca": "{file}"}, "PENSTOCK_KAFKA_CA is for TLS"),
        (
            {"kafka_security": "ssl", "kafka_ca": "/nowhere.pem"},
            "PENSTOCK_KAFKA_CA names /nowhere.pem, which cannot be",
        ),
        ({"kafka_security": "ssl", "kafka_key": "{file}"}, "PENSTOCK_KAFKA_CERTIFICATE and PENSTOCK_KAFKA_KEY go"),
        ({"kafka_security": "ssl", "kafka_key_password": "x"}, "PENSTOCK_KAFKA_KEY_PASSWORD is for the key"),
    ],
)
def test_settings_that_would_be_ignored_or_cannot_work_are_refused_by_name(
    given: dict[str, str], message: str, tmp_path: Path, database: Any
) -> None:
    (tmp_path / "file.pem").write_text("x")
    filled = {name: value.replace("{file}", str(tmp_path / "file.pem")) for name, value in given.items()}
    with pytest.raises(SettingsError, match=message):
        open_log(Settings(home=tmp_path, event_log="kafka", **filled), database)
