"""An OpenID Connect issuer on loopback, with real keys: it publishes its configuration and keys, and signs tokens."""

import json
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.loopback_server import FaultyHandler, LoopbackServer

AUDIENCE = "penstock"
CONFIGURATION = "/.well-known/openid-configuration"


class OidcServer(LoopbackServer):
    """`private` holds the private keys by their ids, `published` what `/keys` answers. `paths` are those asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.private: dict[str, Any] = {}
        self.published: list[dict[str, Any]] = []
        self.described: dict[str, Any] = {}
        super().__init__(_Handler)
        self.described = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.add_key("first", "RSA")

    def add_key(self, identity: str, kind: str, **also: Any) -> None:
        """A new key of the kind RSA, P-256, P-384 or Ed25519, published with the fields `also`."""
        key: Any
        if kind == "RSA":
            key = rsa.generate_private_key(public_exponent=65537, key_size=also.pop("bits", 2048))
            public = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
        elif kind == "Ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
            public = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
        else:
            key = ec.generate_private_key(ec.SECP256R1() if kind == "P-256" else ec.SECP384R1())
            public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        self.private[identity] = key
        self.published.append(public | {"kid": identity, "use": "sig"} | also)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a valid token; `None` leaves one out."""
        now = int(time.time())
        made = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "u-1",
            "iat": now,
            "exp": now + 600,
            "email": "ada@example.org",
            "email_verified": True,
            **changed,
        }
        return {name: value for name, value in made.items() if value is not None}

    def token(self, key: str = "first", algorithm: str = "RS256", headers: Any = None, **changed: Any) -> str:
        """A token of these claims, signed with one of the issuer's keys."""
        return jwt.encode(
            self.claims(jti=uuid.uuid4().hex, **changed),
            self.private[key],
            algorithm=algorithm,
            headers={"kid": key} | (headers or {}),
        )


class _Handler(FaultyHandler):
    def do_GET(self) -> None:
        self.owner.paths.append(self.path)
        if self.misbehaved(self.fault()):
            return
        if self.path == CONFIGURATION:
            self.answer(200, self.owner.described)
        elif self.path == "/keys":
            self.answer(200, {"keys": self.owner.published})
        else:
            self.answer(404, {})
