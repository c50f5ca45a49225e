"""Publishes at a hosted forge: pushes a branch, opens one pull request for it, and keeps one comment on the ticket.

Whatever is done twice, or was done by a process that died before it could say so, is found again: the branch and the
commit are the same for the same attempt, and a comment ends with a hidden marker. What people have done since is left
alone: a closed pull request stays closed, and commits of theirs on the branch are never replaced.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.forge.conventions import PLAIN, Conventions, find_template
from core.forge.host import Checks, CodeHost, Comment, NewPull, Pull, PullExists, PullState
from core.forge.protocol import ForgeUnavailable, Publication, PublicationRefused, own_branch, permit
from core.forge.texts import answer_marker, bounded, marker, plain_message, plain_title, question_marker
from core.git import AccessRefused, GitError, GitTimeout, PushRejected, Remote, Repository, SigningFailed
from core.patch_paths import touched_paths
from core.work import VerdictKind

MOST_COMMITS = 200
"""The most commits of a branch that are looked at."""


@dataclass(frozen=True)
class Standing:
    """A pull request of Penstock's: its key, its address and the head of its branch, all None if it is not open any
    more. `ours`: nobody else has committed to the branch."""

    key: str | None
    url: str | None
    head: str | None
    ours: bool


@dataclass(frozen=True)
class Moved:
    """The head of the branch that a pull request is for, which has other commits than the patch's base; `paths` are
    those of the patch that they change."""

    head: str
    paths: tuple[str, ...]


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
        conventions: Conventions = PLAIN,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._mirror = mirror
        self._remote = remote
        self._base = base
        self._conventions = conventions
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
        if found is None and publication.follow_up is not None:
            raise PublicationRefused(f"pull request {publication.follow_up.pull} is not there any more")
        self._push(publication, adopt=found is not None)
        if found is None:
            found = self._open(publication)
        if self._conventions.labels and publication.follow_up is None:
            self._before_write()
            self._host.add_labels(found.key, self._conventions.labels)
        return found.url

    def _open(self, publication: Publication) -> Pull:
        """Opens the pull request of an attempt."""
        patch = permit(publication)
        text = publication.description or publication.report
        if template := find_template(self._mirror(), patch.base_commit, self.target.partition(":")[0]):
            text = f"{text}\n\n---\n\n{template}"
        mark = marker(publication.task_id, publication.attempt)
        new = NewPull(
            publication.branch,
            self.base_branch,
            plain_title(publication.message.partition("\n")[0] or publication.title),
            bounded(text, mark, self._host.most_characters),
            draft=publication.verdict.verdict is VerdictKind.DRAFT,
        )
        self._before_write()
        try:
            return self._host.create_pull(new)
        except PullExists as error:
            found = self._found(publication.branch)
            if found is None:
                raise ForgeUnavailable(f"{error}, but it is not found") from None
            return found

    def check(self) -> None:
        """Asks for the repository and the token's account. Raises as `publish` does."""
        self._host.default_branch()
        self._host.login()

    def has_begun(self, publication: Publication) -> bool:
        """Whether the pull request of this attempt is there already. Raises as `publish` does."""
        return self._found(publication.branch) is not None

    def comment(self, publication: Publication) -> str:
        """Writes the report as a comment on the task's ticket; without a ticket, it stays with the task. What an
        attempt at a pull request has found is said where it was asked for (`answer`)."""
        if publication.follow_up is not None:
            return publication.follow_up.url
        if publication.ticket is None:
            return f"task:{publication.task_id}"
        mark = marker(publication.task_id, publication.attempt)
        url = self._write(publication.ticket, mark, publication.report, create=True)
        return url or publication.ticket

    def note(self, ticket: str, task_id: uuid.UUID, text: str, *, create: bool = True) -> str | None:
        """Makes `text` the one status comment of a task on its ticket: edits it in place, or writes it if `create`.
        Returns where it is, or None. Raises as `publish` does."""
        return self._write(ticket, marker(task_id), text, create=create)

    def answer(self, ticket: str, asked: uuid.UUID, text: str, thread: str | None = None) -> str:
        """Answers a command or a remark with one comment on its ticket, or in the thread of a review, and returns where
        it is. Raises as `publish` does."""
        mark = answer_marker(asked)
        if thread is None or not (said := self._host.thread(ticket, thread)):
            return self._write(ticket, mark, text, create=True) or ticket
        if (held := self._own(said, mark)) is not None:
            return held.url
        self._before_write()
        return self._host.reply(ticket, thread, bounded(text, mark, self._host.most_characters)).url

    def ask(self, ticket: str, task_id: uuid.UUID, attempt: int, text: str) -> str:
        """Asks a question of an attempt in one comment on its ticket, which notifies people, and returns where it is.
        Raises as `publish` does."""
        return self._write(ticket, question_marker(task_id, attempt), text, create=True) or ticket

    def begins(self, pull: str, thread: str, remark: str) -> bool:
        """Whether a remark begins its thread; also if the thread is not there any more. Raises as `publish` does."""
        said = self._host.thread(pull, thread)
        return not said or said[0].id == remark

    @property
    def base_branch(self) -> str:
        """The branch that pull requests are for. Raises as `publish` does."""
        return self._base or self._host.default_branch()

    def failed_checks(self, head: str, base: str | None) -> Checks:
        """The failed checks of a commit that do not fail at the commit `base`, if there is one, too. Raises as
        `publish` does."""
        branch = self.base_branch
        found = self._host.checks(head, branch)
        if not found.settled or not found.failed or base is None:
            return found
        before = {check.name for check in self._host.checks(base, branch).failed}
        return Checks(True, tuple(check for check in found.failed if check.name not in before))

    def standing(self, pull: str | None, branch: str, base: str) -> Standing:
        """How a pull request of Penstock's stands, whose branch was made from the commit `base`; `pull` is its key, if
        it is known. Brings the branch into the mirror. Raises as `publish` does."""
        found = self._found(branch)
        if found is None or pull not in (None, found.key) or found.state is not PullState.OPEN:
            return Standing(None, None, None, False)
        repository = self._mirror()
        try:
            head = self._remote.fetch(repository, branch)
            if head is None:
                return Standing(None, None, None, False)
            people = repository.people(head, exclude=base, limit=MOST_COMMITS)
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error
        ours = all(map(self._conventions.is_own, people)) and len(people) < MOST_COMMITS
        return Standing(found.key, found.url, head, ours)

    def moved(self, publication: Publication) -> Moved | None:
        """Which commits the branch that a new pull request is for has got since the patch's base; None if there are
        none, or the pull request is there already. Raises as `publish` does."""
        patch = permit(publication)
        repository = self._mirror()
        try:
            head = self._remote.fetch(repository, self.base_branch)
            base = repository.find(patch.base_commit)
            if head is None or base is None or head == base or repository.is_ancestor(head, base):
                return None
            changes = repository.diff_names(base, head, renames=False)
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error
        if self.has_begun(publication):
            return None
        changed = {change.path for change in changes}
        return Moved(head, tuple(path for path in touched_paths(patch.diff) if path in changed))

    def own_commit(self, task_id: uuid.UUID, attempt: int) -> str | None:
        """The commit that holds the patch of an attempt, if this mirror has made it. Raises as `publish` does."""
        try:
            return self._mirror().branch_commit(own_branch(task_id, attempt))
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error

    def bring(self, branch: str, commit: str) -> bool:
        """Brings a commit of a branch into the mirror; returns whether it is there now. Raises as `publish` does."""
        repository = self._mirror()
        try:
            if repository.find(commit) is None:
                self._remote.fetch(repository, branch)
            return repository.find(commit) is not None
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error

    def head_of(self, branch: str) -> str | None:
        """The commit at the head of a branch at this moment; None if there is no such branch. Raises as `publish`
        does."""
        try:
            return self._remote.head(branch)
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error

    def before(self, commit: str, limit: int) -> list[str]:
        """The first parents of a commit that the mirror has, at most `limit`. Raises as `publish` does."""
        try:
            return self._mirror().first_parents(commit, limit)
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error

    def may_write(self, login: str, user_id: str | None, ticket: str | None = None) -> bool:
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
        return self._own(self._host.comments(ticket), mark)

    def _own(self, comments: Iterable[Comment], mark: str) -> Comment | None:
        """Our comment with this mark, even if somebody has copied its text into a comment of their own."""
        marked = [found for found in comments if found.body.rstrip().endswith(mark)]
        login = self._host.login().casefold() if marked else ""
        return next((found for found in marked if found.author.casefold() == login), None)

    def _found(self, branch: str) -> Pull | None:
        """The pull request of a branch: an open one, else the newest."""
        pulls = self._host.pulls_of(branch)
        return next((pull for pull in pulls if pull.state is PullState.OPEN), pulls[0] if pulls else None)

    def _push(self, publication: Publication, *, adopt: bool) -> None:
        """Pushes the branch. With `adopt`, one that is there with commits that a person added is left as it is."""
        patch, branch, asked = permit(publication), publication.branch, publication.follow_up
        repository = self._mirror()
        try:
            head = self._remote.head(branch)
            if repository.find(patch.base_commit) is None and asked is not None:
                self._remote.fetch(repository, branch)
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error
        if repository.find(patch.base_commit) is None:
            raise ForgeUnavailable(f"{repository.path} lacks commit {patch.base_commit[:12]} until its next refresh")
        message = self._conventions.message(plain_message(publication.message))
        try:
            commit = repository.commit_patch(
                patch.base_commit,
                patch.diff,
                publication.own_branch,
                message,
                self._conventions.author,
                publication.when,
                self._conventions.key,
            )
        except (GitTimeout, SigningFailed) as error:
            raise ForgeUnavailable(str(error)) from error
        except GitError as error:
            raise PublicationRefused(str(error)) from error
        try:
            if head == commit:
                return
            if asked is not None and head != asked.head:
                if head is not None and self._has(repository, branch, commit):
                    return  # pushed before, and a person has gone on from there
                raise PublicationRefused(
                    f"branch {branch!r} has commits that were pushed meanwhile: they are left as they are"
                )
            if asked is None and head is not None and adopt:
                return
            try:
                self._remote.push(repository, branch, commit, replaces=asked.head if asked else None)
            except AccessRefused:
                raise
            except GitError:
                if not self._points_to(repository, branch, commit):  # another process may have pushed it meanwhile
                    raise
        except PushRejected as error:
            raise PublicationRefused(str(error)) from error
        except GitError as error:
            raise ForgeUnavailable(str(error)) from error

    def _points_to(self, repository: Repository, branch: str, commit: str) -> bool:
        """Whether the head of a branch at the forge is a commit, or the same with another signature."""
        head = self._remote.fetch(repository, branch)
        return head is not None and repository.find_same(commit, head) is not None

    def _has(self, repository: Repository, branch: str, commit: str) -> bool:
        """Whether a branch at the forge has a commit, or the same with another signature."""
        head = self._remote.fetch(repository, branch)
        return head is not None and (
            repository.is_ancestor(commit, head) or repository.find_same(commit, head, limit=MOST_COMMITS) is not None
        )
