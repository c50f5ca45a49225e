"""Webhook signatures: the gateway verifies them, `penstock send` makes them.

GitHub: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries. Standard
Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
GitLab: https://docs.gitlab.com/user/project/integrations/webhooks/. Gitea:
https://docs.gitea.com/usage/webhooks. Jira: https://developer.atlassian.com/cloud/jira/platform/webhooks/.
Bitbucket Cloud: https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/.
Linear: https://linear.app/developers/webhooks.
Slack: https://docs.slack.dev/authentication/verifying-requests-from-slack.
All but GitLab's token sign the raw bytes of the body. Every secret is tried, so that secrets can be rotated.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable

TOLERANCE_SECONDS = 300
"""How far the timestamp of Standard Webhooks or Slack may be from our clock, either way."""

SIGNING = "whsec_"
"""Prefix of Standard Webhooks secrets."""

_MAX_SIGNATURES = 16


class SignatureRefused(ValueError):
    """The signature is missing, wrong or too old. `code` is short and stable, for metrics."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def sign_github(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify_github(secrets: Iterable[str], body: bytes, signature: str | None) -> None:
    """Raises `SignatureRefused` unless one of `secrets` signed `body`."""
    if not signature:
        raise SignatureRefused("signature-missing", "header X-Hub-Signature-256 is missing")
    given = signature.strip().encode()
    if not _any_equal((sign_github(secret, body).encode() for secret in secrets), [given]):
        raise SignatureRefused("signature-wrong", "X-Hub-Signature-256 does not match the body and the secret")


def sign_gitea(secret: str, body: bytes) -> str:
    """The value of `X-Gitea-Signature`."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify_gitea(secrets: Iterable[str], body: bytes, signature: str | None, github_signature: str | None) -> None:
    """Raises `SignatureRefused` unless one of `secrets` signed `body`, in Gitea's own header or in the one that it
    shares with GitHub. If both are sent, only its own is checked."""
    if signature:
        if not _any_equal((sign_gitea(secret, body).encode() for secret in secrets), [signature.strip().encode()]):
            raise SignatureRefused("signature-wrong", "X-Gitea-Signature does not match the body and the secret")
    elif github_signature:
        verify_github(secrets, body, github_signature)
    else:
        raise SignatureRefused("signature-missing", "header X-Gitea-Signature is missing")


def verify_jira(secrets: Iterable[str], body: bytes, signature: str | None) -> None:
    """Raises `SignatureRefused` unless one of `secrets` signed `body` (`X-Hub-Signature: sha256=...`)."""
    if not signature:
        raise SignatureRefused("signature-missing", "header X-Hub-Signature is missing: give the webhook a secret")
    given = signature.strip().encode()
    if not _any_equal((sign_github(secret, body).encode() for secret in secrets), [given]):
        raise SignatureRefused("signature-wrong", "X-Hub-Signature does not match the body and the secret")


def verify_bitbucket(secrets: Iterable[str], body: bytes, signature: str | None) -> None:
    """Raises `SignatureRefused` unless one of `secrets` signed `body`, as Bitbucket Cloud does, like Jira. It does not
    sign for a webhook without a secret."""
    verify_jira(secrets, body, signature)


def verify_linear(secrets: Iterable[str], body: bytes, signature: str | None) -> None:
    """Raises `SignatureRefused` unless one of `secrets` signed `body`, as Gitea does. The body holds the time of
    sending, which the reader of the body checks."""
    if not signature:
        raise SignatureRefused("signature-missing", "header Linear-Signature is missing")
    if not _any_equal((sign_gitea(secret, body).encode() for secret in secrets), [signature.strip().encode()]):
        raise SignatureRefused("signature-wrong", "Linear-Signature does not match the body and the secret")


def sign_slack(secret: str, timestamp: int, body: bytes) -> str:
    """The value of `X-Slack-Signature`. `timestamp` is in seconds since 1970."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


def verify_slack(
    secrets: Iterable[str], body: bytes, *, timestamp: str | None, signature: str | None, now: float
) -> None:
    """Raises `SignatureRefused` unless one of the app's signing secrets signed `body`, within five minutes of `now`."""
    known = tuple(secrets)
    if not known:
        raise SignatureRefused("secret-missing", "no signing secret of Slack is set: PENSTOCK_SLACK_SIGNING_SECRET")
    for header, value in (("Request-Timestamp", timestamp), ("Signature", signature)):
        if not value:
            raise SignatureRefused("signature-missing", f"header X-Slack-{header} is missing")
    assert timestamp and signature  # noqa: S101  checked above, for the type checker
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise SignatureRefused("timestamp-wrong", "X-Slack-Request-Timestamp must be whole seconds since 1970")
    expected = (sign_slack(secret, int(timestamp), body).encode() for secret in known)
    if not _any_equal(expected, [signature.strip().encode()]):
        raise SignatureRefused("signature-wrong", "X-Slack-Signature does not match timestamp, body and secret")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureRefused("timestamp-stale", "X-Slack-Request-Timestamp is more than five minutes from now")


def verify_gitlab(
    secrets: Iterable[str],
    body: bytes,
    *,
    token: str | None,
    identity: str | None,
    timestamp: str | None,
    signature: str | None,
    now: float,
) -> None:
    """Raises `SignatureRefused` unless the delivery has a Standard Webhooks signature by one of the `whsec_` secrets,
    or one of the other secrets as its token. If it is signed and there is a `whsec_` secret, the token is ignored."""
    known = tuple(secrets)
    keys = [secret for secret in known if secret.startswith(SIGNING)]
    if signature and keys:
        verify_standard(keys, body, identity=identity, timestamp=timestamp, signature=signature, now=now)
        return
    if not token:
        raise SignatureRefused("signature-missing", "header X-Gitlab-Token is missing")
    # Hashes have equal lengths, so the time to compare them does not reveal how long a secret is.
    expected = (hashlib.sha256(secret.encode()).digest() for secret in known if not secret.startswith(SIGNING))
    if not _any_equal(expected, [hashlib.sha256(token.encode()).digest()]):
        raise SignatureRefused("signature-wrong", "X-Gitlab-Token is not a secret of this gateway")


def standard_key(secret: str) -> bytes:
    """The key inside a `whsec_...` secret. Raises `ValueError` when it is not base64, or empty."""
    encoded = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("a Standard Webhooks secret is 'whsec_' and base64") from error
    if not key:
        raise ValueError("a Standard Webhooks secret is 'whsec_' and base64 of at least one byte")
    return key


def sign_standard(secret: str, identity: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`. `timestamp` is in seconds since 1970."""
    return "v1," + base64.b64encode(_standard_digest(standard_key(secret), identity, str(timestamp), body)).decode()


def verify_standard(
    secrets: Iterable[str],
    body: bytes,
    *,
    identity: str | None,
    timestamp: str | None,
    signature: str | None,
    now: float,
) -> None:
    """Raises `SignatureRefused` unless one of `secrets` made one of the signatures, within five minutes of `now`."""
    for header, value in (("id", identity), ("timestamp", timestamp), ("signature", signature)):
        if not value:
            raise SignatureRefused("signature-missing", f"header webhook-{header} is missing")
    assert identity and timestamp and signature  # noqa: S101  checked above, for the type checker
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise SignatureRefused("timestamp-wrong", "webhook-timestamp must be whole seconds since 1970")
    given = [
        encoded.encode()
        for version, _, encoded in (part.partition(",") for part in signature.split(" ")[:_MAX_SIGNATURES])
        if version == "v1"
    ]
    digests = (
        base64.b64encode(_standard_digest(standard_key(secret), identity, timestamp, body)) for secret in secrets
    )
    if not _any_equal(digests, given):
        raise SignatureRefused("signature-wrong", "webhook-signature does not match id, timestamp, body and secret")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureRefused("timestamp-stale", "webhook-timestamp is more than five minutes from now")


def _standard_digest(key: bytes, identity: str, timestamp: str, body: bytes) -> bytes:
    return hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def _any_equal(expected: Iterable[bytes], given: list[bytes]) -> bool:
    """Compares every pair, in a time that does not depend on which one matches."""
    found = False
    for one in expected:
        for other in given:
            found |= hmac.compare_digest(one, other)
    return found
