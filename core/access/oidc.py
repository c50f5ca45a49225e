"""Checks the tokens of people who sign in at an OpenID Connect issuer: JWTs, signed with the issuer's public keys.

The keys come from the address that the issuer's configuration names, and are kept for some minutes. A token that names
an unknown key makes them be fetched again, at most every few seconds, so that keys can be rotated. What a token's
claims allow is decided in `core.access.people`.

Sources: OpenID Connect Discovery 1.0, sections 3 and 4; RFC 7517 (keys); RFC 7519, section 4.1 (claims); RFC 8725
(which algorithms to accept). PyJWT, which verifies, is imported by the first token.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from core.access.grants import is_safe_address
from core.http import Limits, Service, ServiceUnavailable

ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
"""The accepted algorithms, by the type or curve of the key: each verifies with a public key. `none` and those with a
shared secret (HS256) are not among them, so that a public key is never taken for a secret."""

LEEWAY_SECONDS = 60
"""By which the clocks of the issuer and of this machine may differ."""
TOKEN_CHARACTERS = 16_384
KEPT_SECONDS = 600.0
"""After this time the keys are fetched again."""
STALE_SECONDS = 3600.0
"""For this time they are used while the issuer does not answer."""
UNKNOWN_SECONDS = 10.0
"""The least time between two fetches that unknown keys cause, and after a failed one."""
MOST_KEYS = 100
LEAST_RSA_BITS = 2048

_LIMITS = Limits(seconds=5.0, retries=1, most_bytes=512 << 10)
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")


class TokenRefused(ValueError):
    """The token is not valid. The message is for the log: it says why, and holds nothing of the token."""


class IssuerUnavailable(RuntimeError):
    """The issuer's keys cannot be fetched, so nothing can be said about the token."""


@dataclass(frozen=True)
class _Key:
    id: str | None
    algorithms: tuple[str, ...]
    key: Any


@dataclass(frozen=True)
class _Keys:
    keys: tuple[_Key, ...]
    at: float

    def matching(self, identity: str | None, algorithm: str) -> list[_Key]:
        """The keys that may have signed: the named one, or without a name all of the right type."""
        return [key for key in self.keys if algorithm in key.algorithms and (identity is None or key.id == identity)]


class Issuer:
    """One issuer, safe for several threads. `address` is compared with `iss` as it is, and `audience` with `aud`."""

    def __init__(self, address: str, audience: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self._audience = audience
        self._clock = clock
        self._services: dict[str, Service] = {}
        self._held: _Keys | None = None
        self._tried = float("-inf")
        self._lock = threading.Lock()

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid token. Raises `TokenRefused`, `IssuerUnavailable`."""
        import jwt

        if len(token) > TOKEN_CHARACTERS:
            raise TokenRefused(f"it has more than {TOKEN_CHARACTERS} characters")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenRefused(f"it is malformed ({type(error).__name__})") from None
        algorithm, identity = header.get("alg"), header.get("kid")
        if not any(algorithm in accepted for accepted in ALGORITHMS.values()):
            raise TokenRefused("its algorithm is not accepted")
        if "crit" in header or not isinstance(identity, str | None):
            raise TokenRefused("its header demands what is not supported")
        for key in self._candidates(identity, str(algorithm)):
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.key,
                    algorithms=[str(algorithm)],
                    audience=self._audience,
                    issuer=self.address,
                    leeway=LEEWAY_SECONDS,
                    options={"require": ["exp", "iss", "aud", "sub"]},
                )
                return claims
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
                raise TokenRefused(f"its claims do not hold ({type(error).__name__})") from None
        raise TokenRefused("no key of the issuer has signed it")

    def check(self) -> int:
        """The number of keys that can be used, fetched now. Raises `IssuerUnavailable`, also if there is none."""
        keys = self._fetched(self._held).keys
        if not keys:
            raise IssuerUnavailable(f"{self.address} publishes no key for signatures that is accepted here")
        return len(keys)

    def close(self) -> None:
        for service in self._services.values():
            service.close()

    def _candidates(self, identity: str | None, algorithm: str) -> list[_Key]:
        held = self._held
        if held is None or self._clock() - held.at > KEPT_SECONDS:
            held = self._fetched(held)
        found = held.matching(identity, algorithm)
        if not found:
            found = self._fetched(held).matching(identity, algorithm)
        return found

    def _fetched(self, known: _Keys | None) -> _Keys:
        """Keys newer than `known`, or those that another thread has fetched meanwhile; the known ones if the issuer
        does not answer or was asked a moment ago, and they are not too old. Raises `IssuerUnavailable`."""
        with self._lock:
            if self._held is not None and self._held is not known:
                return self._held
            now = self._clock()
            problem = "it did not answer a moment ago"
            if now - self._tried > UNKNOWN_SECONDS:
                self._tried = now
                try:
                    self._held = _Keys(self._fetch(), now)
                    return self._held
                except ServiceUnavailable as error:
                    problem = str(error)
            if known is not None and now - known.at <= STALE_SECONDS:
                return known
            raise IssuerUnavailable(f"the keys of {self.address} cannot be fetched: {problem}")

    def _fetch(self) -> tuple[_Key, ...]:
        """The issuer's keys, as they are now. Raises `ServiceUnavailable`."""
        described = self._json(f"{self.address.rstrip('/')}/.well-known/openid-configuration")
        listed = self._json(address_of_keys(self.address, described))
        entries = listed.get("keys") if isinstance(listed, dict) else None
        if not isinstance(entries, list):
            raise ServiceUnavailable("the address of its keys holds no list of keys")
        keys = (_key_of(entry) for entry in entries[:MOST_KEYS])
        return tuple(key for key in keys if key is not None)

    def _json(self, address: str) -> Any:
        parts = urlsplit(address)
        base = f"{parts.scheme}://{parts.netloc}"
        if base not in self._services:
            self._services.clear()  # at most the issuer's own address and that of its keys are in use
            for one in {base, "{0.scheme}://{0.netloc}".format(urlsplit(self.address))}:
                self._services[one] = Service(one, remedy="is PENSTOCK_OIDC_ISSUER right?", environment_proxies=True)
        return self._services[base].json("GET", address, limits=_LIMITS)


def address_of_keys(issuer: str, described: Any) -> str:
    """Where the issuer's configuration says that its keys are: an https address, or one on loopback if the issuer is
    there as well. Raises `ServiceUnavailable`."""
    if not isinstance(described, dict) or described.get("issuer") != issuer:
        raise ServiceUnavailable("its configuration names another issuer: check PENSTOCK_OIDC_ISSUER")
    place = described.get("jwks_uri")
    if not isinstance(place, str) or not is_safe_address(place.partition("?")[0]):
        place = ""
    if place.startswith("https://") or (place and issuer.startswith("http://")):
        return place
    raise ServiceUnavailable("its configuration names no https address of its keys")


def _key_of(entry: Any) -> _Key | None:
    """A key for verifying signatures; None for one of another use or type, too short, or malformed."""
    import jwt

    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    if isinstance(uses := entry.get("key_ops"), list) and "verify" not in uses:
        return None
    kind = entry.get("kty") if entry.get("kty") == "RSA" else entry.get("crv")
    accepted = ALGORITHMS.get(kind, ()) if isinstance(kind, str) else ()
    if (only := entry.get("alg")) is not None:
        accepted = tuple(algorithm for algorithm in accepted if algorithm == only)
    if not accepted:
        return None
    try:
        key = jwt.PyJWK({name: entry[name] for name in _PUBLIC if name in entry}, algorithm=accepted[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if kind == "RSA" and getattr(key, "key_size", 0) < LEAST_RSA_BITS:
        return None
    identity = entry.get("kid")
    return _Key(identity if isinstance(identity, str) else None, accepted, key)
