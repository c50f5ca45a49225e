"""What a repository's people expect of commits and pull requests: author, sign-off, signature, labels, a template."""

import re
from dataclasses import dataclass

from core.commit_author import DEFAULT_AUTHOR, shown
from core.git import GitError, GitTimeout, Repository, SigningKey

MOST_TEMPLATE = 16_000
"""Characters of a template that are used."""
_TEMPLATES = {
    "github": tuple(
        f"{folder}{name}.md"
        for folder in (".github/", "", "docs/")
        for name in ("pull_request_template", "PULL_REQUEST_TEMPLATE")
    ),
    "gitlab": (".gitlab/merge_request_templates/Default.md", ".gitlab/merge_request_templates/default.md"),
    "bitbucket": (".bitbucket/pull_request_template.md",),
    "gitea": tuple(
        f"{folder}{name}.md"
        for folder in (".gitea/", ".forgejo/", ".github/", "", "docs/")
        for name in ("PULL_REQUEST_TEMPLATE", "pull_request_template")
    ),
}
"""Where each service looks for its default template, in its order."""
_TRAILERS = re.compile(r"\n\n(?:[A-Za-z][A-Za-z-]*: .*\n?)+\Z")


@dataclass(frozen=True)
class Conventions:
    """`author` (name, address) writes and commits; with `sign_off`, commits end with its `Signed-off-by` (Developer
    Certificate of Origin). `labels` are those of new pull requests. `key` signs commits."""

    author: tuple[str, str] = DEFAULT_AUTHOR
    sign_off: bool = False
    labels: tuple[str, ...] = ()
    key: SigningKey | None = None

    @property
    def identity(self) -> str:
        return shown(self.author)

    def message(self, text: str) -> str:
        """A commit message, signed off if asked for."""
        line = f"Signed-off-by: {self.identity}"
        if not self.sign_off or line in text.splitlines():
            return text
        body = text.rstrip("\n")
        return f"{body}\n{line}\n" if _TRAILERS.search(body) else f"{body}\n\n{line}\n"

    def is_own(self, people: tuple[str, str]) -> bool:
        """Whether author and committer, each as `Name <address>`, are this author, or the default one before."""
        known = {self.identity, shown(DEFAULT_AUTHOR)}
        return people[0] in known and people[1] in known


PLAIN = Conventions()


def find_template(repository: Repository, commit: str, service: str) -> str:
    """The template of pull requests in a commit, or an empty text. Raises `GitTimeout`."""
    for path in _TEMPLATES.get(service, ()):
        try:
            content = repository.read_file(commit, path, limit=4 * MOST_TEMPLATE)
        except GitTimeout:
            raise
        except GitError:  # no regular file
            continue
        if content is not None:
            return content.decode(errors="replace")[:MOST_TEMPLATE].strip()
    return ""
