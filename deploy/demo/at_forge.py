"""The demo's second part: the same issue at a forge, whose webhook starts the task and which gets the pull request.

The forge is the fake one of `deploy/fake_forge`, over a real git repository, and is shown as such.
"""

import time
from collections.abc import Callable
from pathlib import Path

from deploy.demo.build import Sample
from deploy.fake_forge import FakeForge, Pull
from deploy.fake_forge.pages import page

BOT = "penstock"
REPORTER = "ada"
"""May write to the repository, so her issues start work."""
SECONDS = 240.0


class Forge:
    """A fake forge with the sample's repository. `environment` lets a platform publish there."""

    def __init__(self, folder: Path, sample: Sample) -> None:
        self._forge = FakeForge(folder)
        self._sample = sample
        self.repository = f"{sample.repository}-at-forge"
        self._forge.add_repository(self.repository, sample.directory)
        self._forge.grant(self.repository, BOT, "write")
        self._forge.grant(self.repository, REPORTER, "write")
        self.environment = {"PENSTOCK_GITHUB_TOKEN": self._forge.add_token(BOT)}

    @property
    def source(self) -> tuple[str, ...]:
        """The arguments of `penstock index add` that connect its repository."""
        location = self._forge.git_url(self.repository)
        return (f"{self._sample.name}-at-forge", location, "--repository", self.repository, "--forge", "github")

    def open_issue(self, gateway: str, secret: str) -> int:
        """Opens the sample's issue, which the forge reports to the gateway, and returns its number."""
        self._forge.deliver_to(f"{gateway}/webhooks/github", secret)
        issue = self._forge.add_issue(
            self.repository, self._sample.issue_title, self._sample.issue_body, author=REPORTER
        )
        self._forge.wait_for_deliveries()
        return issue.number

    def wait_for_pull(self, alive: Callable[[], bool]) -> Pull | None:
        """The pull request, once the issue says where it is; None if that takes too long or the platform ends."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and alive():
            found = self._forge.repository(self.repository)
            comments = [comment.body for issue in found.issues for comment in issue.comments]
            for pull in found.pulls:
                if any(f"/{self.repository}/pull/{pull.number}" in text for text in comments):
                    return pull
            time.sleep(0.2)
        return None

    def pages(self, pull: Pull) -> str:
        """The issue and the pull request, without the folded evidence."""
        found = self._forge.repository(self.repository)
        shown = [page(found, issue) for issue in (*found.issues, pull)]
        return "\n".join(text.split("<details>")[0].rstrip() + "\n" for text in shown)

    def deliveries(self) -> str:
        """What the forge reported to the gateway, and the answers."""
        sent = [" ".join(filter(None, (one.event, one.action))) for one in self._forge.deliveries]
        return ", ".join(f"{what} ({one.status})" for what, one in zip(sent, self._forge.deliveries, strict=True))

    def stop(self) -> None:
        self._forge.stop()


def secret_of(home: Path) -> str:
    """The secret that the gateway expects of GitHub's webhooks."""
    return (home / "secrets" / "github-webhook-secret").read_text(encoding="ascii").strip()
