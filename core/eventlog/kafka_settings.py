"""Makes the Kafka log that the settings describe: its addresses, TLS and SASL.

Passwords go only to kafka-python, whose logger `kafka_clients` sets to CRITICAL, since its debug lines hold them.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from core.eventlog.kafka import KafkaLog

if TYPE_CHECKING:
    from core.settings import Settings


def kafka_log(settings: "Settings") -> KafkaLog:
    """Does not connect yet. Raises as `client_settings` does."""
    return KafkaLog(
        settings.kafka_bootstrap,
        partitions=settings.kafka_partitions,
        replication=settings.kafka_replication,
        client=client_settings(settings),
    )


def client_settings(settings: "Settings") -> dict[str, str]:
    """Settings of kafka-python (https://kafka-python.readthedocs.io/en/master/apidoc/KafkaConsumer.html).

    Raises `SettingsError` for a setting that would be ignored or cannot work, such as a password without
    SASL; it names the setting and what to do.
    """
    return {
        "security_protocol": settings.kafka_security.upper(),
        **_tls(settings, "ssl" in settings.kafka_security),
        **_sasl(settings, settings.kafka_security.startswith("sasl_")),
    }


def _tls(settings: "Settings", used: bool) -> dict[str, str]:
    files = {
        "ssl_cafile": ("kafka_ca", settings.kafka_ca),
        "ssl_certfile": ("kafka_certificate", settings.kafka_certificate),
        "ssl_keyfile": ("kafka_key", settings.kafka_key),
    }
    given = {name: (field, path) for name, (field, path) in files.items() if path}
    for field, path in given.values():
        if not used:
            raise _wrong(field, "is for TLS: set PENSTOCK_KAFKA_SECURITY to ssl or sasl_ssl, or unset it")
        _readable(field, path)
    if ("ssl_certfile" in given) != ("ssl_keyfile" in given):
        raise _wrong("kafka_certificate", "and PENSTOCK_KAFKA_KEY go together: set both, or neither")
    found = {name: str(path) for name, (_, path) in given.items()}
    if settings.kafka_key_password is not None:
        if "ssl_keyfile" not in given:
            raise _wrong("kafka_key_password", "is for the key in PENSTOCK_KAFKA_KEY, which is not set")
        found["ssl_password"] = settings.kafka_key_password.get_secret_value()
    return found


def _sasl(settings: "Settings", used: bool) -> dict[str, str]:
    user, password = settings.kafka_user, settings.kafka_password
    if not used:
        if user is not None or password is not None:
            field = "kafka_user" if user is not None else "kafka_password"
            raise _wrong(field, "is for SASL: set PENSTOCK_KAFKA_SECURITY to sasl_ssl (or sasl_plaintext), or unset it")
        return {}
    if not user or password is None:
        field = "kafka_password" if user else "kafka_user"
        raise _wrong(field, f"is not set, and PENSTOCK_KAFKA_SECURITY={settings.kafka_security} needs it")
    if settings.kafka_sasl != "PLAIN" and ("," in user or "=" in user):  # kafka-python does not escape them
        raise _wrong("kafka_user", "holds a comma or an equals sign, which works only with PENSTOCK_KAFKA_SASL=PLAIN")
    return {
        "sasl_mechanism": settings.kafka_sasl,
        "sasl_plain_username": user,
        "sasl_plain_password": password.get_secret_value(),
    }


def _readable(field: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise _wrong(field, f"names {path}, which cannot be read: {error.strerror}") from error


def _wrong(field: str, problem: str) -> Exception:
    from core.settings import SettingsError

    return SettingsError(f"PENSTOCK_{field.upper()} {problem}")
