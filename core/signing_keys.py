"""Which key signs the commits for a team's sources: the setting's for the default team, a file's for each other one.

As with tokens of forges, no team gets a signature with the key of another.
"""

import os
import re
import uuid
from collections.abc import Iterator

from core.git.signing import SigningKey
from core.settings import Settings
from core.teams import DEFAULT_TEAM

SETTING = "PENSTOCK_SIGNING_KEY"
_FILE = "signing-key-"
_TEAM = re.compile(rf"{_FILE}[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")


def signing_key(settings: Settings, team_id: uuid.UUID) -> SigningKey | None:
    """The key of a team, or None; whether it can be used shows when it is."""
    if team_id == DEFAULT_TEAM:
        return SigningKey(settings.signing_key, SETTING) if settings.signing_key else None
    path = settings.secrets_folder / f"{_FILE}{team_id}"
    return SigningKey(path, _of_team(path.name)) if os.path.lexists(path) else None


def all_keys(settings: Settings) -> Iterator[SigningKey]:
    """The keys of all teams."""
    if settings.signing_key:
        yield SigningKey(settings.signing_key, SETTING)
    try:
        found = sorted(settings.secrets_folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in found:
        if _TEAM.fullmatch(path.name):
            yield SigningKey(path, _of_team(path.name))


def _of_team(file: str) -> str:
    """How messages name a team's key."""
    return f"the signing key of team {file.removeprefix(_FILE)}"
