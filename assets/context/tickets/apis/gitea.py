"""Issues, pull requests and comments by Gitea's REST API (https://docs.gitea.com/api), which has GitHub's objects."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from assets.context.tickets.apis.github import GitHubApi
from core.tickets import Service


class GiteaApi(GitHubApi):
    service = Service.GITEA
    address = None

    def headers(self, token: str | None) -> dict[str, str]:
        return {"Authorization": f"token {token}"} if token else {}

    def steps(self, project: str, since: datetime | None) -> Sequence[str]:
        at = f"/api/v1/repos/{quote(project)}"
        changed = f"&since={quote(f'{since:%Y-%m-%dT%H:%M:%SZ}')}" if since else ""
        order = "recentupdate" if since else "oldest"
        return (
            f"{at}/issues?state=all&limit=50{changed}",
            f"{at}/pulls?state=all&limit=50&sort={order}",
            f"{at}/issues/comments?limit=50{changed}",
        )
