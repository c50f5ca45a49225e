"""Keeps secrets of calls out of the database: a method that is `secret` has its call stored under a hash of its id, and
its answer sealed with a key made from the id. Whoever repeats the call knows the id; whoever reads the database does
not.

That holds for ids that cannot be guessed, as clients and the gateway make them.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

from objects.model import Call


def disguised(call: Call) -> Call:
    """The call as it is stored."""
    name = hashlib.sha256(f"id {call.address} {call.id}".encode()).hexdigest()
    # From this nobody can guess a password without the id.
    stands_for = hmac.new(_key(call), call.request, hashlib.sha256).digest()
    return replace(call, id=f"secret/{name}", stands_for=stands_for)


def sealed(call: Call, answer: str) -> str:
    """An answer, encrypted (AES-256-GCM), as JSON."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    # The key is used once, since the id is; so a constant nonce is safe.
    return json.dumps(
        {"sealed": base64.b64encode(AESGCM(_key(call)).encrypt(bytes(12), answer.encode(), None)).decode()}
    )


def opened(call: Call, stored: str) -> str:
    """Raises `cryptography.exceptions.InvalidTag` for what another id has sealed."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(_key(call)).decrypt(bytes(12), base64.b64decode(json.loads(stored)["sealed"]), None).decode()


def _key(call: Call) -> bytes:
    return hashlib.sha256(f"key {call.address} {call.id}".encode()).digest()
