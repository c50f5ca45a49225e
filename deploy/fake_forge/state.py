"""The one state behind all dialects, and the operations on it; each takes the lock and leaves the state whole.

It knows nothing of HTTP. Rules that only one service has, such as GitHub's limit on the length of a body, are in that
service's dialect.
"""

from typing import Any

from deploy.fake_forge import git
from deploy.fake_forge.accounts import locked, now
from deploy.fake_forge.boards import Boards
from deploy.fake_forge.records import (
    AlreadyExists,
    CheckRun,
    Comment,
    Happened,
    Invalid,
    Issue,
    Label,
    NoSuchBranch,
    NotFound,
    NothingToMerge,
    Pull,
    Remark,
    Repository,
    Review,
    User,
)


class State(Boards):
    """Issues, comments, labels, pull requests and check runs."""

    @locked
    def add_issue(self, repository: Repository, author: User, title: str, body: str, labels: list[str]) -> Issue:
        issue = Issue(**self._new(repository, "issue"), title=title, body=body, author=author)
        repository.issues.append(issue)
        self.wrote("issue.create", repository, issue.number, author)
        self.changed("issues", "opened", repository, author, {"issue": issue})
        self.add_labels(repository, issue, author, labels)
        return issue

    def _new(self, repository: Repository, kind: str) -> dict[str, Any]:
        repository.counts.update(("number", kind))
        at = now()
        ids = {"id": next(self.ids), "number": repository.counts["number"], "iid": repository.counts[kind]}
        return ids | {"created": at, "updated": at}

    @locked
    def issue(self, repository: Repository, number: int) -> Issue:
        """The issue or pull request of that shared number."""
        for found in (*repository.issues, *repository.pulls):
            if found.number == number:
                return found
        raise NotFound(f"{repository.full_name}#{number}")

    @locked
    def pull(self, repository: Repository, number: int) -> Pull:
        found = self.issue(repository, number)
        if not isinstance(found, Pull):
            raise NotFound(f"{repository.full_name}#{number}")
        return found

    @locked
    def add_comment(self, repository: Repository, issue: Issue, author: User, body: str) -> Comment:
        at = now()
        comment = Comment(next(self.ids), author, body, at, at)
        issue.comments.append(comment)
        issue.updated = at
        self.wrote("comment.create", repository, comment.id, author)
        self.changed("issue_comment", "created", repository, author, {"issue": issue, "comment": comment})
        return comment

    @locked
    def comment(self, repository: Repository, number: int) -> tuple[Issue, Comment]:
        for issue in (*repository.issues, *repository.pulls):
            for comment in issue.comments:
                if comment.id == number:
                    return issue, comment
        raise NotFound(f"comment {number} of {repository.full_name}")

    @locked
    def edit_comment(self, repository: Repository, number: int, user: User, body: str | None) -> Comment:
        """Gives a comment another body, or deletes it if that is None."""
        issue, comment = self.comment(repository, number)
        action = "deleted" if body is None else "edited"
        if body is None:
            issue.comments.remove(comment)
        else:
            comment.body = body
            comment.updated = issue.updated = now()
        self.wrote("comment.delete" if body is None else "comment.edit", repository, comment.id, user)
        self.changed("issue_comment", action, repository, user, {"issue": issue, "comment": comment})
        return comment

    @locked
    def add_label(
        self, repository: Repository, user: User, name: str, color: str = "ededed", description: str = ""
    ) -> Label:
        """The label of that name, made if there is none."""
        if not name or len(name) > 50:
            raise Invalid("name", "is empty or longer than 50 characters")
        if name not in repository.labels:
            repository.labels[name] = Label(next(self.ids), name, color.lstrip("#").lower(), description)
            self.wrote("label.create", repository, name, user)
        return repository.labels[name]

    @locked
    def add_labels(
        self, repository: Repository, issue: Issue, user: User, names: list[str], *, replace: bool = False
    ) -> None:
        for name in names:
            self.add_label(repository, user, name)
        wanted = list(dict.fromkeys(names if replace else [*issue.labels, *names]))
        if wanted == issue.labels:
            return
        before, issue.labels, issue.updated = issue.labels, wanted, now()
        kind = "pull" if isinstance(issue, Pull) else "issue"
        self.wrote(f"{kind}.label", repository, issue.number, user)
        event, key = ("pull_request", "pull_request") if kind == "pull" else ("issues", "issue")
        given, taken = (
            [name for name in one if name not in other] for one, other in ((wanted, before), (before, wanted))
        )
        for kind, changed in (("labeled", given), ("unlabeled", taken)):
            for name in changed:  # GitHub reports each label apart
                issue.history.append(Happened(next(self.ids), kind, name, user, issue.updated))
                self.changed(event, kind, repository, user, {key: issue, "label": repository.labels[name]})

    @locked
    def assign(self, repository: Repository, issue: Issue, user: User, assignee: User) -> None:
        """Adds an assignee."""
        if assignee in issue.assignees:
            return
        issue.assignees, issue.updated = [*issue.assignees, assignee], now()
        issue.history.append(Happened(next(self.ids), "assigned", assignee.login, user, issue.updated))
        self.wrote("issue.assign", repository, issue.number, user)
        self.changed("issues", "assigned", repository, user, {"issue": issue, "assignee": assignee})

    # Pull requests

    @locked
    def add_pull(
        self,
        repository: Repository,
        author: User,
        *,
        head: str,
        base: str,
        title: str,
        body: str,
        draft: bool,
        may_be_empty: bool = True,
    ) -> Pull:
        """Raises `NoSuchBranch`, `AlreadyExists` and, unless it may be empty, `NothingToMerge`."""
        same = self.open_pull(repository, head, base)
        if same:
            raise AlreadyExists(same)
        commits = {}
        for name, branch in (("head", head), ("base", base)):
            commits[name] = git.branch(repository.path, branch) or ""
            if not commits[name]:
                raise NoSuchBranch(name, branch)
        changes = git.changes(repository.path, commits["base"], commits["head"])
        if not changes.commits and not may_be_empty:
            raise NothingToMerge(f"{head} has no commit that {base} lacks")
        pull = Pull(
            **self._new(repository, "pull"),
            title=title,
            body=body,
            author=author,
            head=head,
            base=base,
            head_commit=commits["head"],
            base_commit=commits["base"],
            draft=draft,
            changes=changes,
        )
        repository.pulls.append(pull)
        self.wrote("pull.create", repository, pull.number, author)
        self.changed("pull_request", "opened", repository, author, {"pull_request": pull})
        return pull

    @locked
    def open_pull(self, repository: Repository, head: str, base: str) -> Pull | None:
        for pull in repository.pulls:
            if pull.state == "open" and (pull.head, pull.base) == (head, base):
                return pull
        return None

    @locked
    def edit(
        self,
        repository: Repository,
        issue: Issue,
        user: User,
        *,
        title: str | None = None,
        body: str | None = None,
        state: str | None = None,
        base: str | None = None,
        draft: bool | None = None,
        unique: bool = True,
    ) -> None:
        """Changes what is not None. Raises `Invalid`, `NoSuchBranch`, and `AlreadyExists` if open pull requests for the
        same branches must be `unique`."""
        wanted: dict[str, Any] = {"title": title, "body": body, "state": state}
        wanted |= {"base": base, "draft": draft} if isinstance(issue, Pull) else {}
        given = {name: value for name, value in wanted.items() if value is not None}
        state = state or issue.state
        if state not in ("open", "closed"):
            raise Invalid("state", "is neither open nor closed")
        if isinstance(issue, Pull):
            base = base or issue.base
            if issue.merged and state == "open":
                raise Invalid("state", "cannot be changed: the pull request was merged")
            if base != issue.base and not git.branch(repository.path, base):
                raise NoSuchBranch("base", base)
            same = self.open_pull(repository, issue.head, base) if state == "open" and unique else None
            if same and same is not issue:
                raise AlreadyExists(same)
        before = issue.state
        for name, value in given.items():
            setattr(issue, name, value)
        issue.updated = now()
        issue.closed = (issue.closed or now()) if state == "closed" else None
        kind = "pull" if isinstance(issue, Pull) else "issue"
        self.wrote(f"{kind}.edit", repository, issue.number, user)
        action = "edited" if before == issue.state else ("closed" if state == "closed" else "reopened")
        event, key = ("pull_request", "pull_request") if kind == "pull" else ("issues", "issue")
        self.changed(event, action, repository, user, {key: issue})

    @locked
    def request_reviews(self, repository: Repository, pull: Pull, user: User, logins: list[str]) -> None:
        """Raises `Invalid` if one of them is no user who may read the repository, or is the author."""
        for login in logins:
            wanted = self.users.get(login)
            if wanted is None or wanted is pull.author or not self.may(repository, wanted, "read"):
                raise Invalid("reviewers", f"contains {login}, who is the author or no collaborator")
        pull.reviewers += [self.users[login] for login in logins if self.users[login] not in pull.reviewers]
        pull.updated = now()
        self.wrote("pull.request_reviews", repository, pull.number, user)

    @locked
    def add_remark(
        self,
        repository: Repository,
        pull: Pull,
        author: User,
        body: str,
        *,
        path: str = "",
        line: int = 1,
        thread: int | None = None,
    ) -> Remark:
        """Comments on a line, or answers in a thread there. Raises `NotFound`."""
        number, at = next(self.ids), now()
        first = next((item for item in pull.remarks if item.id == thread), None)
        if thread is not None and first is None:
            raise NotFound(f"comment {thread} of {repository.full_name}#{pull.number}")
        where = (first.path, first.line, first.id) if first else (path, line, number)
        remark = Remark(number, author, body, at, at, *where)
        pull.remarks.append(remark)
        pull.updated = at
        self.wrote("remark.create", repository, remark.id, author)
        what = {"pull_request": pull, "remark": remark}
        self.changed("pull_request_review_comment", "created", repository, author, what)
        return remark

    @locked
    def add_review(self, repository: Repository, pull: Pull, author: User, body: str, state: str) -> Review:
        review = Review(next(self.ids), author, body, state, now())
        pull.reviews.append(review)
        pull.updated = review.created
        self.wrote("review.create", repository, review.id, author)
        what = {"pull_request": pull, "review": review}
        self.changed("pull_request_review", "submitted", repository, author, what)
        return review

    @locked
    def merge(self, repository: Repository, pull: Pull, user: User) -> None:
        """Merges with a merge commit. Raises `Invalid` on a conflict or if the pull request is not open."""
        if pull.state != "open":
            raise Invalid("state", "is not open")
        message = f"Merge pull request #{pull.number} from {repository.owner}/{pull.head}\n\n{pull.title}"
        before = git.branch(repository.path, pull.base)
        commit = git.merge(repository.path, pull.base, pull.head_commit, message)
        if commit is None:
            raise Invalid("head", "conflicts with the base")
        self.merged(repository, pull, user, commit)
        self.changed("push", "", repository, user, {"branch": pull.base, "before": before, "after": commit})

    @locked
    def merged(self, repository: Repository, pull: Pull, user: User, commit: str) -> None:
        pull.state, pull.merge_commit, pull.merged_by = "closed", commit, user
        pull.merged = pull.closed = pull.updated = now()
        self.wrote("pull.merge", repository, pull.number, user)
        self.changed("pull_request", "closed", repository, user, {"pull_request": pull})

    # What a push changes

    @locked
    def pushed(self, repository: Repository, user: User, before: dict[str, str], after: dict[str, str]) -> None:
        """Follows branches that were created, moved or deleted."""
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if old == new:
                continue
            repository.pushed = now()
            self.wrote("branch.push", repository, name, user)
            self.changed("push", "", repository, user, {"branch": name, "before": old, "after": new})
            for pull in repository.pulls:
                if pull.state == "open":
                    self._follow(repository, pull, user, name, new)

    def _follow(self, repository: Repository, pull: Pull, user: User, branch: str, commit: str | None) -> None:
        if branch not in (pull.head, pull.base):
            return
        if commit is None:
            self.edit(repository, pull, user, state="closed")
        elif branch == pull.head:
            pull.head_commit, pull.updated = commit, now()
            pull.changes = git.changes(repository.path, pull.base_commit, commit)
            self.changed("pull_request", "synchronize", repository, user, {"pull_request": pull})
        elif git.is_ancestor(repository.path, pull.head_commit, commit):
            self.merged(repository, pull, user, commit)

    @locked
    def add_check_run(self, repository: Repository, user: User, name: str, head_commit: str) -> CheckRun:
        run = CheckRun(next(self.ids), name, head_commit, now())
        repository.check_runs.append(run)
        self.wrote("check_run.create", repository, run.id, user)
        return run

    @locked
    def check_run(self, repository: Repository, number: int) -> CheckRun:
        for run in repository.check_runs:
            if run.id == number:
                return run
        raise NotFound(f"check run {number}")

    @locked
    def edited_check_run(self, repository: Repository, user: User, run: CheckRun) -> None:
        self.wrote("check_run.edit", repository, run.id, user)
