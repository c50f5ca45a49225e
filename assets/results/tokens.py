"""The token with which the API of a source's forge is read, the same as for publishing there."""

import uuid
from typing import TYPE_CHECKING

from assets.results.forges import _credential, _github_app, find_destination

if TYPE_CHECKING:
    from assets.platform import Platform


def token_for(platform: "Platform", team_id: uuid.UUID, source: str) -> str | None:
    """None if there is none. Raises `PublicationRefused` if there is no such source any more, and `ForgeUnavailable` if
    a GitHub App cannot get a token."""
    found = find_destination(platform, team_id, source)
    app = _github_app(platform, found)
    if app is not None:
        return app.token(found.repository or "")
    credential = _credential(platform, found)
    return credential.password if credential else None
