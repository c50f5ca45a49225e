"""Authentication of a service's own users and programs: passwords by argon2id, sessions, and API keys.

Passkeys and single sign-on are left to OIDC. The state holds hashes only, and is shown to nobody. A key is one
service's users: some two thousand fit.
"""

import hashlib
import hmac
import secrets
from typing import Any

from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.types.native import NAME, Native, fields, full, text, whole

MOST_USERS = 2000
MOST_SESSIONS = 4000
MOST_KEYS = 1000
TRIES = 5
"""Wrong passwords in a row, after which a user waits."""
WAIT_SECONDS = 60.0
ITERATIONS, LANES, MEMORY_KIB = 2, 1, 19_456
"""argon2id as OWASP recommends: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html"""

_USER = fields({"user": NAME})
_LOGIN = fields({"user": NAME, "password": text(1000, 8)}, {"seconds": whole(60, 90 * 86_400)})
_TOKEN = fields({"token": text(200, 1)})


class Authentication(Native):
    spec = TypeSpec(
        name="authentication",
        version=1,
        description="Sessions and API keys of a service's users; passwords by argon2id.",
        labels={"purpose": "authentication"},
        initial={"users": {}, "sessions": {}, "keys": {}},
        hidden=True,
        methods={
            "register": Method(argument=fields({"user": NAME, "password": text(1000, 8)}), secret=True),
            "login": Method(
                argument=_LOGIN,
                answer=fields({"token": text(), "expires": {"type": "number"}}),
                secret=True,
                description="A session's token, for some seconds (a day).",
            ),
            "check": Method(
                reading=True,
                secret=True,
                argument=_TOKEN,
                answer=fields({"user": NAME, "kind": {"enum": ["session", "key"]}, "scopes": {"type": "array"}}),
                description="Whose session or key it is.",
            ),
            "logout": Method(argument=_TOKEN, secret=True),
            "logout_everywhere": Method(argument=_USER),
            "change_password": Method(
                argument=fields({"user": NAME, "password": text(1000, 8), "new": text(1000, 8)}), secret=True
            ),
            "remove": Method(argument=_USER),
            "create_key": Method(
                argument=fields(
                    {"user": NAME, "name": NAME}, {"days": whole(1, 3650), "scopes": {"type": "array", "items": NAME}}
                ),
                answer=fields({"key": text()}),
                secret=True,
                description="An API key, which is shown this once.",
            ),
            "revoke_key": Method(argument=fields({"user": NAME, "name": NAME})),
            "keys": Method(reading=True, argument=_USER, answer={"type": "array"}),
            "expire": Method(internal=True),
        },
    )

    def on_register(self, state: Any, message: Message) -> Step:
        user = message.argument["user"]
        if user in state["users"]:
            raise Refused("taken", "there is a user of this name")
        if len(state["users"]) >= MOST_USERS:
            raise full("users", MOST_USERS)
        users = {**state["users"], user: {"password": hashed(message.argument["password"]), "wrong": 0, "until": 0}}
        return Step(None, {**state, "users": users})

    def on_login(self, state: Any, message: Message) -> Step:
        argument = message.argument
        state, good = self._tried(state, argument["user"], argument["password"], message.now)
        if not good:
            # An answer and no refusal, since the wrong try is to be counted.
            return Step({"token": "", "expires": 0}, state)
        if len(state["sessions"]) >= MOST_SESSIONS:
            raise full("sessions", MOST_SESSIONS)
        token = secrets.token_urlsafe(32)
        expires = message.now + argument.get("seconds", 86_400)
        sessions = {**_valid(state["sessions"], message.now), digest(token): [argument["user"], expires]}
        alarm = {"kind": "alarm", "name": "expire", "after": 3600, "method": "expire"}
        return Step({"token": token, "expires": expires}, {**state, "sessions": sessions}, [alarm])

    def _tried(self, state: Any, user: str, password: str, now: float) -> tuple[Any, bool]:
        """The state after a try, and whether the password is right. Unknown users take as long as known ones."""
        known = state["users"].get(user)
        if known is not None and known["until"] > now:
            raise Refused("wait", f"too many wrong passwords: try again in {known['until'] - now:.0f} s")
        good = verified(password, known["password"] if known else _NOBODY)
        if known is None:
            return state, False
        wrong = 0 if good else known["wrong"] + 1
        until = now + WAIT_SECONDS if wrong >= TRIES else 0
        changed = {**known, "wrong": 0 if until else wrong, "until": until}
        return {**state, "users": {**state["users"], user: changed}}, good

    def on_check(self, state: Any, message: Message) -> Step:
        wanted = digest(message.argument["token"])
        for kind, held in (("session", state["sessions"]), ("key", state["keys"])):
            found = held.get(wanted)
            if found is not None and (found[1] is None or found[1] > message.now):
                return Step({"user": found[0], "kind": kind, "scopes": found[3] if kind == "key" else []})
        raise Refused("unknown", "the token is unknown, expired or revoked")

    def on_logout(self, state: Any, message: Message) -> Step:
        left = {name: one for name, one in state["sessions"].items() if name != digest(message.argument["token"])}
        return Step(None, {**state, "sessions": left})

    def on_logout_everywhere(self, state: Any, message: Message) -> Step:
        user = message.argument["user"]
        return Step(None, {**state, "sessions": {n: s for n, s in state["sessions"].items() if s[0] != user}})

    def on_change_password(self, state: Any, message: Message) -> Step:
        argument = message.argument
        user = argument["user"]
        state, good = self._tried(state, user, argument["password"], message.now)
        if not good:
            raise Refused("wrong", "user or password is wrong")
        changed = {**state["users"][user], "password": hashed(argument["new"])}
        sessions = {name: one for name, one in state["sessions"].items() if one[0] != user}
        return Step(None, {**state, "users": {**state["users"], user: changed}, "sessions": sessions})

    def on_remove(self, state: Any, message: Message) -> Step:
        user = message.argument["user"]
        return Step(
            None,
            {
                "users": {name: one for name, one in state["users"].items() if name != user},
                "sessions": {name: one for name, one in state["sessions"].items() if one[0] != user},
                "keys": {name: one for name, one in state["keys"].items() if one[0] != user},
            },
        )

    def on_create_key(self, state: Any, message: Message) -> Step:
        argument = message.argument
        user, name = argument["user"], argument["name"]
        if user not in state["users"]:
            raise Refused("no-such-user", "there is no user of this name")
        if any(one[0] == user and one[2] == name for one in state["keys"].values()):
            raise Refused("taken", "the user has a key of this name: revoke it first")
        if len(state["keys"]) >= MOST_KEYS:
            raise full("keys", MOST_KEYS)
        key = f"psk_{secrets.token_urlsafe(32)}"
        expires = message.now + argument["days"] * 86_400 if "days" in argument else None
        made = [user, expires, name, argument.get("scopes", [])]
        return Step({"key": key}, {**state, "keys": {**state["keys"], digest(key): made}})

    def on_revoke_key(self, state: Any, message: Message) -> Step:
        user, name = message.argument["user"], message.argument["name"]
        left = {digest: one for digest, one in state["keys"].items() if (one[0], one[2]) != (user, name)}
        if len(left) == len(state["keys"]):
            raise Refused("no-such-key", "the user has no key of this name")
        return Step(None, {**state, "keys": left})

    def on_keys(self, state: Any, message: Message) -> Step:
        user = message.argument["user"]
        mine = [one for one in state["keys"].values() if one[0] == user]
        return Step([{"name": one[2], "expires": one[1], "scopes": one[3]} for one in mine])

    def on_expire(self, state: Any, message: Message) -> Step:
        sessions = _valid(state["sessions"], message.now)
        alarm = {"kind": "alarm", "name": "expire", "after": 3600, "method": "expire"}
        return Step(None, {**state, "sessions": sessions}, [alarm] if sessions else [])


def digest(token: str) -> str:
    """Tokens are random and long, so that a plain hash hides them."""
    return hashlib.sha256(token.encode()).hexdigest()


def hashed(password: str) -> str:
    """argon2id in the PHC format. https://www.rfc-editor.org/rfc/rfc9106"""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    made = Argon2id(
        salt=secrets.token_bytes(16), length=32, iterations=ITERATIONS, lanes=LANES, memory_cost=MEMORY_KIB
    )  # fmt: skip
    return made.derive_phc_encoded(password.encode())


def verified(password: str, stored: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password.encode(), stored)
    except InvalidKey:
        return False
    return not hmac.compare_digest(stored, _NOBODY)


_NOBODY = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}$AAAAAAAAAAAAAAAAAAAAAA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""What the password of an unknown user is compared with."""


def _valid(sessions: Any, now: float) -> dict[str, Any]:
    return {name: one for name, one in sessions.items() if one[1] > now}
