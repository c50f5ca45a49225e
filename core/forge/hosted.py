"""Publishes at a hosted forge: pushes a branch, opens one pull request for it, and keeps one comment on the ticket.

Whatever is done twice, or was done by a process that died before it could say so, is found again: the branch and the
commit are the same for the same attempt, and a comment ends with a hidden marker. What people have done since is left
alone: a closed pull request stays closed, and commits of theirs on the branch are never replaced.
"""

import uuid
from collections.abc import Callable

from core.forge.host import CodeHost, Comment, NewPull, Pull, PullExists, PullState
from core.forge.protocol import ForgeUnavailable, Publication, PublicationRefused, permit
from core.forge.texts import answer_marker, bounded, marker, plain_message, plain_title
from core.git import AccessRefused, GitError, GitTimeout, PushRejected, Remote, Repository
from core.work import VerdictKind

AUTHOR = ("Penstock", "penstock@localhost")


class HostedForge:
    """One repository of a forge. `mirror` holds the base commits of patches; `remote` is where branches are pushed.

    `base` is the branch that pull requests are for; by default the repository's. `before_write` is called before each
    write to the API, and may wait, or raise `ForgeUnavailable`.
    """

    def __init__(
        self,
        host: CodeHost,
        mirror: Callable[[], Repository],
        remote: Remote,
        *,
        base: str | None = None,
        author: tuple[str, str] = AUTHOR,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._mirror = mirror
        self._remote = remote
        self._base = base
        self._author = author
        self._before_write = before_write

    @property
    def target(self) -> str:
        return self._host.target

    def publish(self, publication: Publication) -> str:
        """Opens the pull request of an attempt, and returns its address."""
        permit(publication)
        found = self._found(publication.branch)
        if found is not None and found.state is not PullState.OPEN:
            return found.url  # a person has decided
        self._push(publication, adopt=found is not None)
        if found is not None:
            return found.url
        text = publication.description or publication.report
        mark = marker(publication.task_id, publication.attempt)
        new = NewPull(
            publication.branch,
            self._base or self._host.default_branch(),
            plain_title(publication.message.partition("\n")[0] or publication.title),
            bounded(text, mark, self._host.most_characters),
            draft=publication.verdict.verdict is VerdictKind.DRAFT,
        )
        self._before_write()
        try:
            return self._host.create_pull(new).url
        except PullExists as error:
            found = self._found(publication.branch)
            if found is None:
                raise ForgeUnavailable(f"{error}, but it is not found") from None
            return found.url

    def check(self) -> None:
        """Asks for the repository and the token's account. Raises as `publish` does."""
        self._host.default_branch()
        self._host.login()

    def has_begun(self, publication: Publication) -> bool:
        """Whether the pull request of this attempt is there already. Raises as `publish` does."""
        return self._found(publication.branch) is not None

    def comment(self, publication: Publication) -> str:
        """Writes the report as a comment on the task's ticket; without a ticket, it stays with the task."""
        if publication.ticket is None:
            return f"task:{publication.task_id}"
        mark = marker(publication.task_id, publication.attempt)
        url = self._write(publication.ticket, mark, publication.report, create=True)
        return url or publication.ticket

    def note(self, ticket: str, task_id: uuid.UUID, text: str, *, create: bool = True) -> str | None:
        """See `core.forge.protocol.TicketForge`."""
        return self._write(ticket, marker(task_id), text, create=create)

    def answer(self, ticket: str, command_id: uuid.UUID, text: str) -> str:
        """Answers a command with one comment on its ticket, and returns where it is. Raises as `publish` does."""
        return self._write(ticket, answer_marker(command_id), text, create=True) or ticket

    def may_write(self, login: str, user_id: str | None) -> bool:
        """Whether this account may write to the repository now. Raises as `publish` does."""
        return self._host.may_write(login, user_id)

    def _write(self, ticket: str, mark: str, text: str, *, create: bool) -> str | None:
        """Makes `text` our comment with this mark; returns its address, or None if there is none and `create` is
        false."""
        wanted = bounded(text, mark, self._host.most_characters)
        held = self._ours(ticket, mark)
        if held is None and not create:
            return None
        if held is not None and held.body.strip() == wanted.strip():
            return held.url
        self._before_write()
        if held is None:
            return self._host.create_comment(ticket, wanted).url
        return self._host.edit_comment(ticket, held, wanted).url

    def _ours(self, ticket: str, mark: str) -> Comment | None:
        """Our comment with this mark, even if somebody has copied its text into a comment of their own."""
        marked = [found for found in self._host.comments(ticket) if found.body.rstrip().endswith(mark)]
        login = self._host.login().casefold() if marked else ""
        return next((found for found in marked if found.author.casefold() == login), None)

    def _found(self, branch: str) -> Pull | None:
        """The pull request of a branch: an open one, else the newest."""
        pulls = self._host.pulls_of(branch)
        return next((pull for pull in pulls if pull.state is PullState.OPEN), pulls[0] if pulls else None)

    def _push(self, publication: Publication, *, adopt: bool) -> None:
        """Pushes the branch. With `adopt`, one that is there with commits that a person added is left as it is."""
        patch = permit(publication)
        repository = self._mirror()
        if repository.find(patch.base_commit) is None:
            raise ForgeUnavailable(f"{repository.path} lacks commit {patch.base_commit[:12]} until its next refresh")
        try:
            message = plain_message(publication.message)
            commit = repository.commit_patch(
                patch.base_commit, patch.diff, publication.branch, message, self._author, publication.when
            )
        except GitTimeout as error:
            raise ForgeUnavailable(str(error)) from error
        except GitError as error:
            raise PublicationRefused(str(error)) from error
        branch = publication.branch
        try:
            head = self._remote.head(branch)
            if head == commit or (head is not None and adopt):
                return
            try:
                self._remote.push(repository, branch, commit)
            except AccessRefused:
                raise
            except GitError:
                if self._remote.head(branch) != commit:  # another process may have pushed it meanwhile
                    raise
        except PushRejected as error:
            raise PublicationRefused(str(error)) from error
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error
