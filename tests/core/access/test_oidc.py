"""Tokens of people, checked against a real issuer on loopback."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from core.access.oidc import (
    KEPT_SECONDS,
    STALE_SECONDS,
    TOKEN_CHARACTERS,
    UNKNOWN_SECONDS,
    Issuer,
    IssuerUnavailable,
    TokenRefused,
    address_of_keys,
)
from core.access.people import person_of
from core.http import ServiceUnavailable
from core.settings import Settings, SettingsError, load_settings
from tests.oidc_server import AUDIENCE, CONFIGURATION, OidcServer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[OidcServer]:
    made = OidcServer()
    yield made
    made.stop()


@pytest.fixture
def issuer(server: OidcServer, clock: Clock) -> Iterator[Issuer]:
    made = Issuer(server.url, AUDIENCE, clock=clock)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("RSA", "RS256"),
        ("RSA", "RS512"),
        ("RSA", "PS256"),
        ("P-256", "ES256"),
        ("P-384", "ES384"),
        ("Ed25519", "EdDSA"),
    ],
)
def test_a_token_signed_with_a_key_of_the_issuer_is_valid(
    server: OidcServer, issuer: Issuer, kind: str, algorithm: str
) -> None:
    server.add_key("other", kind)
    assert issuer.verify(server.token("other", algorithm))["sub"] == "u-1"


def test_the_audience_may_be_one_of_several_and_a_key_need_not_be_named(server: OidcServer, issuer: Issuer) -> None:
    server.add_key("second", "P-256")
    unnamed = jwt.encode(server.claims(aud=["other", AUDIENCE]), server.private["second"], algorithm="ES256")
    assert issuer.verify(unnamed)["sub"] == "u-1"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_600_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": 4_000_000_000},
        {"iss": "https://elsewhere.example.org"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": []},
        {"aud": None},
        {"sub": None},
        {"sub": 7},
    ],
    ids=str,
)
def test_a_token_whose_claims_do_not_hold_is_refused(server: OidcServer, issuer: Issuer, claims: Any) -> None:
    assert issuer.verify(server.token())
    with pytest.raises(TokenRefused, match="claims"):
        issuer.verify(server.token(**claims))


def test_clocks_may_differ_by_a_minute(server: OidcServer, issuer: Issuer) -> None:
    now = int(time.time())
    assert issuer.verify(server.token(exp=now - 30))
    assert issuer.verify(server.token(nbf=now + 30, iat=now + 30))


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _public_pem(server: OidcServer) -> bytes:
    made: bytes = server.private["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def _unsigned(server: OidcServer, algorithm: str) -> str:
    return f"{_part({'alg': algorithm, 'kid': 'first'})}.{_part(server.claims())}."


def _with_the_public_key_as_secret(server: OidcServer, algorithm: str) -> str:
    signed = f"{_part({'alg': algorithm, 'kid': 'first'})}.{_part(server.claims())}"
    digest = hmac.new(_public_pem(server), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def test_a_token_without_a_signature_or_with_one_by_a_shared_secret_is_refused(
    server: OidcServer, issuer: Issuer
) -> None:
    for token in (
        _unsigned(server, "none"),
        _unsigned(server, "None"),
        _unsigned(server, "RS256"),
        _with_the_public_key_as_secret(server, "HS256"),
        _with_the_public_key_as_secret(server, "RS256"),
    ):
        with pytest.raises(TokenRefused):
            issuer.verify(token)


def test_a_token_that_brings_its_own_key_is_refused(server: OidcServer, issuer: Issuer) -> None:
    attacker = OidcServer()
    try:
        theirs = attacker.published[0] | {"kid": "first"}
        for headers in ({}, {"jwk": theirs}, {"jku": f"{attacker.url}/keys"}, {"x5u": f"{attacker.url}/keys"}):
            forged = jwt.encode(
                server.claims(), attacker.private["first"], algorithm="RS256", headers={"kid": "first", **headers}
            )
            with pytest.raises(TokenRefused, match="no key"):
                issuer.verify(forged)
        assert attacker.paths == []
    finally:
        attacker.stop()


def test_a_changed_token_is_refused(server: OidcServer, issuer: Issuer) -> None:
    head, _, signature = server.token().split(".")
    with pytest.raises(TokenRefused, match="no key"):
        issuer.verify(f"{head}.{_part(server.claims(groups=['admins']))}.{signature}")


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_key_signs_only_with_algorithms_of_its_own(server: OidcServer, issuer: Issuer) -> None:
    server.add_key("only-ps", "RSA", alg="PS256")
    server.add_key("for-encryption", "RSA", use="enc")
    server.add_key("short", "RSA", bits=1024)
    assert issuer.verify(server.token("only-ps", "PS256"))
    for key in ("only-ps", "for-encryption", "short"):
        with pytest.raises(TokenRefused, match="no key"):
            issuer.verify(server.token(key, "RS256"))


def test_a_header_that_demands_what_is_not_supported_is_refused(server: OidcServer, issuer: Issuer) -> None:
    with pytest.raises(TokenRefused):
        issuer.verify(server.token(headers={"crit": ["b64"], "b64": True}))
    with pytest.raises(TokenRefused, match="characters"):
        issuer.verify(server.token(filler="x" * TOKEN_CHARACTERS))


@given(st.text(max_size=200) | st.text("eyJ0.-_", max_size=50) | st.just("." * 3) | st.just(_part([[]] * 3) + ".e.e"))
def test_any_text_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(TokenRefused):
        Issuer("http://127.0.0.1:9", AUDIENCE).verify(text)


def test_keys_are_fetched_once_and_again_when_they_are_old(server: OidcServer, issuer: Issuer, clock: Clock) -> None:
    for _ in range(3):
        issuer.verify(server.token())
    assert server.paths == [CONFIGURATION, "/keys"]
    clock.now += KEPT_SECONDS + 1
    issuer.verify(server.token())
    assert server.paths == [CONFIGURATION, "/keys"] * 2


def test_a_rotated_key_is_fetched_and_a_withdrawn_one_forgotten(
    server: OidcServer, issuer: Issuer, clock: Clock
) -> None:
    old = server.token()
    issuer.verify(old)
    server.add_key("second", "P-256")
    del server.published[0]
    clock.now += UNKNOWN_SECONDS + 1
    assert issuer.verify(server.token("second", "ES256"))
    with pytest.raises(TokenRefused, match="no key"):
        issuer.verify(old)


def test_unknown_keys_cause_no_flood_of_requests(server: OidcServer, issuer: Issuer, clock: Clock) -> None:
    issuer.verify(server.token())
    for number in range(50):
        clock.now += UNKNOWN_SECONDS / 20
        with pytest.raises(TokenRefused):
            issuer.verify(server.token(headers={"kid": f"unknown-{number}"}))
    assert 2 <= server.paths.count("/keys") <= 4


def test_known_keys_are_used_for_an_hour_while_the_issuer_does_not_answer(
    server: OidcServer, issuer: Issuer, clock: Clock
) -> None:
    issuer.verify(server.token())
    server.always = "404"
    clock.now += KEPT_SECONDS + 1
    assert issuer.verify(server.token())
    clock.now += STALE_SECONDS
    with pytest.raises(IssuerUnavailable):
        issuer.verify(server.token())
    asked = len(server.paths)
    with pytest.raises(IssuerUnavailable, match="a moment ago"):
        issuer.verify(server.token())
    assert len(server.paths) == asked
    server.always = ""
    clock.now += UNKNOWN_SECONDS + 1
    assert issuer.verify(server.token())


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://elsewhere.example.org", "jwks_uri": None},
        {"jwks_uri": None},
        {"issuer": None, "jwks_uri": 7},
        {"issuer": None, "jwks_uri": "file:///etc/passwd"},
        {"issuer": None, "jwks_uri": "http://keys.example.org/keys"},
        {"issuer": None},
    ],
    ids=str,
)
def test_a_configuration_that_cannot_be_trusted_is_not_used(
    server: OidcServer, issuer: Issuer, described: dict[str, Any]
) -> None:
    right = server.described
    server.described = {name: value or right[name] for name, value in described.items()}
    with pytest.raises(IssuerUnavailable, match="cannot be fetched"):
        issuer.verify(server.token())


def test_an_issuer_with_https_cannot_send_to_keys_on_this_machine() -> None:
    issuer = "https://id.example.org"
    for place in ("https://keys.example.org/jwks?v=1", "https://id.example.org/keys"):
        assert address_of_keys(issuer, {"issuer": issuer, "jwks_uri": place}) == place
    for place in ("http://127.0.0.1/keys", "http://localhost/keys", "https://a@b/keys", "https:///keys", "", None):
        with pytest.raises(ServiceUnavailable, match="no https address"):
            address_of_keys(issuer, {"issuer": issuer, "jwks_uri": place})


@pytest.mark.parametrize("fault", ["garbage", "huge", "drop"])
def test_an_answer_that_is_no_list_of_keys_says_nothing_about_the_token(
    server: OidcServer, issuer: Issuer, fault: str
) -> None:
    server.always = fault
    with pytest.raises(IssuerUnavailable):
        issuer.verify(server.token())


def test_malformed_keys_are_ignored(server: OidcServer, issuer: Issuer) -> None:
    server.published[:0] = [
        7,  # type: ignore[list-item]
        {"kty": "RSA", "n": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "first"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "first"},
        {"kty": ["RSA"], "crv": {}},
    ]
    assert issuer.verify(server.token())


def test_a_check_counts_the_keys_that_can_be_used(server: OidcServer, clock: Clock) -> None:
    server.add_key("for-encryption", "RSA", use="enc")
    assert Issuer(server.url, AUDIENCE, clock=clock).check() == 1
    del server.published[0]
    with pytest.raises(IssuerUnavailable, match="no key for signatures"):
        Issuer(server.url, AUDIENCE, clock=clock).check()


def _settings(**changed: Any) -> Settings:
    return Settings(oidc_issuer="https://id.example.org", oidc_audience=AUDIENCE, **changed)


def test_groups_are_found_under_their_claim_or_a_path_to_it(server: OidcServer) -> None:
    claims = server.claims(groups=["a", 7, "b"], realm_access={"roles": ["c"]}, **{"https://x.org/groups": "d"})
    for claim, groups in (
        ("groups", {"a", "b"}),
        ("realm_access.roles", {"c"}),
        ("https://x.org/groups", {"d"}),
        ("email.nothing", set()),
    ):
        assert person_of(claims, _settings(oidc_groups_claim=claim)).groups == groups


def test_an_address_counts_only_if_the_issuer_has_verified_it(server: OidcServer) -> None:
    assert person_of(server.claims(), _settings()).user == "ada@example.org"
    for claims in ({"email_verified": None}, {"email_verified": "true"}, {"email": "a\nb"}, {"email": ["a"]}):
        person = person_of(server.claims(**claims), _settings())
        assert (person.user, person.name) == (None, "u-1")
    assert person_of(server.claims(login="ada"), _settings(oidc_user_claim="login")).user == "ada"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OIDC_ISSUER": "https://id.example.org"}, "^oidc_issuer needs oidc_audience"),
        ({"OIDC_ISSUER": "http://id.example.org", "OIDC_AUDIENCE": "x"}, "oidc_issuer.*https"),
        ({"OIDC_ISSUER": "https://user:pw@id.example.org", "OIDC_AUDIENCE": "x"}, "oidc_issuer"),
        ({"OIDC_ROLES": "admins"}, "oidc_roles.*GROUP=ROLE"),
        ({"OIDC_ROLES": "admins=owner"}, "oidc_roles.*viewer, operator, admin"),
        ({"OIDC_ROLES": "admins=/admin"}, "oidc_roles.*TEAM/ROLE"),
    ],
)
def test_a_wrong_setting_is_named(variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    with pytest.raises(SettingsError, match=said):
        load_settings()


def test_roles_of_groups_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_OIDC_ROLES", "/org/admins=admin, a=b=viewer,dev=acme/operator")
    assert load_settings().oidc_roles == {"/org/admins": "admin", "a=b": "viewer", "dev": "acme/operator"}
