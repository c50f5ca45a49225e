"""GitHub, and GitHub Enterprise Server, through githubkit (https://docs.github.com/rest).

githubkit describes the requests; they are sent by `core.http`, which adds the token. Answers are read by our own
models, since githubkit's refuse an answer in which any field differs, as older servers' do.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from core.forge.github_answers import (
    Account,
    Annotation,
    Branch,
    CheckRun,
    CheckRuns,
    CombinedStatus,
    Comment,
    Permission,
    PullRequest,
    Repository,
    ReviewComment,
    Rule,
    failed_part,
)
from core.forge.host import (
    MOST_CHECKS,
    MOST_COMMENTS,
    MOST_LOGS,
    MOST_PULLS,
    PAGE,
    PAUSES,
    READ,
    WRITE,
    Check,
    Checks,
    NewPull,
    Pull,
    absent_is_no,
    end_of,
    job_log,
    listed,
    number_of,
    translated,
)
from core.forge.host import Comment as FoundComment
from core.forge.protocol import PublicationRefused
from core.http import Limits, Service
from core.payload import parse

if TYPE_CHECKING:
    from githubkit import GitHub

_VERSION: Final = "2022-11-28"
"""GitHub Enterprise Server refuses versions of the API that are newer than itself."""
_EXISTS = "pull request already exists"
_NO_DRAFTS = "draft pull requests are not supported"


def api_address(address: str) -> str:
    """The address of the API of the service at `address`."""
    parts = urlsplit(address)
    return f"{parts.scheme}://api.github.com" if parts.hostname == "github.com" else f"{address.rstrip('/')}/api/v3"


class GitHubHost:
    """One repository. `token` is asked for each request; `login` is for tokens that may not ask who they are."""

    most_characters = 65_536

    def __init__(
        self,
        address: str,
        repository: str,
        token: Callable[[], str],
        *,
        setting: str,
        login: Callable[[], str] | None = None,
    ) -> None:
        self._app_login = login
        self._owner, _, self._name = repository.partition("/")
        self.target = f"github:{repository}"
        self._remedy = f"set {setting} to a token that may write to {repository}"
        self._service = Service(
            api_address(address),
            headers=lambda: {"Authorization": f"Bearer {token()}"},
            pauses=PAUSES,
            environment_proxies=True,
        )
        self._clients: dict[Limits, GitHub[Any]] = {}
        self._login = ""
        self._found: Repository | None = None

    def login(self) -> str:
        if self._app_login is not None:
            return self._app_login()
        if not self._login:
            with self._translated():
                found = self._rest(READ).users.get_authenticated().json()
                self._login = parse(Account, found, "user").login
        return self._login

    def may_write(self, login: str, user_id: str | None) -> bool:
        with self._translated(), absent_is_no():
            found = self._rest(READ).repos.get_collaborator_permission_level(self._owner, self._name, login).json()
            return parse(Permission, found, "permission").may_write
        return False

    def default_branch(self) -> str:
        return self._repository().default_branch

    def _repository(self) -> Repository:
        if self._found is None:
            with self._translated():
                found = self._rest(READ).repos.get(self._owner, self._name).json()
                self._found = parse(Repository, found, "repository")
        return self._found

    def pulls_of(self, branch: str) -> list[Pull]:
        owner = self._repository().owner.login  # as GitHub writes it: this filter may be exact
        with self._translated():
            found = (
                self._rest(READ)
                .pulls.list(
                    self._owner,
                    self._name,
                    state="all",
                    head=f"{owner}:{branch}",
                    sort="created",
                    direction="desc",
                    per_page=MOST_PULLS,
                )
                .json()
            )
            return [parse(PullRequest, item, "pull request").found() for item in listed(found)]

    def create_pull(self, new: NewPull) -> Pull:
        try:
            return self._create(new, draft=new.draft)
        except PublicationRefused as refusal:
            if not new.draft or _NO_DRAFTS not in str(refusal).lower():
                raise
            title = f"Draft: {new.title}"  # private repositories of free accounts have no drafts
            return self._create(NewPull(new.branch, new.base, title, new.body, False), draft=False)

    def _create(self, new: NewPull, *, draft: bool) -> Pull:
        with self._translated():
            made = self._rest(WRITE).pulls.create(
                self._owner, self._name, title=new.title, head=new.branch, base=new.base, body=new.body, draft=draft
            )
            return parse(PullRequest, made.json(), "pull request").found()

    def comments(self, ticket: str) -> Iterator[FoundComment]:
        for page in range(1, MOST_COMMENTS // PAGE + 1):
            with self._translated():
                answer = self._rest(READ).issues.list_comments(
                    self._owner, self._name, number_of(ticket), per_page=PAGE, page=page
                )
                found = [parse(Comment, item, "comment").found() for item in listed(answer.json())]
            yield from found
            if len(found) < PAGE:
                return

    def create_comment(self, ticket: str, text: str) -> FoundComment:
        with self._translated():
            made = self._rest(WRITE).issues.create_comment(self._owner, self._name, number_of(ticket), body=text)
            return parse(Comment, made.json(), "comment").found()

    def edit_comment(self, ticket: str, comment: FoundComment, text: str) -> FoundComment:
        with self._translated():
            made = self._rest(WRITE).issues.update_comment(self._owner, self._name, int(comment.id), body=text)
            return parse(Comment, made.json(), "comment").found()

    def add_labels(self, pull: str, labels: tuple[str, ...]) -> None:
        with self._translated():
            self._rest(WRITE).issues.add_labels(self._owner, self._name, number_of(pull), data={"labels": list(labels)})

    def thread(self, pull: str, thread: str) -> list[FoundComment]:
        found: list[FoundComment] = []
        for page in range(1, MOST_COMMENTS // PAGE + 1):
            with self._translated():
                answer = self._rest(READ).pulls.list_review_comments(
                    self._owner, self._name, number_of(pull), per_page=PAGE, page=page
                )
                items = [parse(ReviewComment, item, "comment") for item in listed(answer.json())]
            found += [item.found() for item in items if thread in (str(item.id), str(item.in_reply_to_id))]
            if len(items) < PAGE:
                break
        return found

    def reply(self, pull: str, thread: str, text: str) -> FoundComment:
        with self._translated():
            made = self._rest(WRITE).pulls.create_reply_for_review_comment(
                self._owner, self._name, number_of(pull), int(thread), body=text
            )
            return parse(Comment, made.json(), "comment").found()

    def checks(self, commit: str, base: str) -> Checks:
        required = self._required(base)
        with self._translated():
            rest = self._rest(READ)
            answer = rest.checks.list_for_ref(self._owner, self._name, commit, filter_="latest", per_page=MOST_CHECKS)
            runs = parse(CheckRuns, answer.json(), "check runs").check_runs
            answer = rest.repos.get_combined_status_for_ref(self._owner, self._name, commit, per_page=MOST_CHECKS)
            statuses = parse(CombinedStatus, answer.json(), "status").statuses or []
        runs = [run for run in runs if not required or run.name in required]
        statuses = [one for one in statuses if not required or one.context in required]
        settled = all(run.status == "completed" for run in runs) and all(one.state != "pending" for one in statuses)
        failed = [Check(one.context, one.target_url or "", one.description or "") for one in statuses if one.failed]
        for run in (run for run in runs if run.failed):
            log = self._log(run) if len(failed) < MOST_LOGS else ""
            failed.append(Check(run.name, run.details_url or run.html_url or "", log))
        return Checks(settled, tuple(failed))

    def _required(self, base: str) -> set[str]:
        """The checks that must pass before a merge, by rule sets and by the protection of the branch."""
        names: set[str] = set()
        with self._translated(), absent_is_no():
            found = self._rest(READ).repos.get_branch_rules(self._owner, self._name, base, per_page=PAGE).json()
            names |= {name for rule in listed(found) for name in parse(Rule, rule, "rule").required}
        with self._translated(), absent_is_no():
            branch = self._rest(READ).repos.get_branch(self._owner, self._name, base).json()
            names |= parse(Branch, branch, "branch").required
        return names

    def _log(self, run: CheckRun) -> str:
        """What a check run says, with its annotations, and the log of a job of Actions."""
        notes: list[str] = []
        with self._translated(), absent_is_no():
            answer = self._rest(READ).checks.list_annotations(self._owner, self._name, run.id, per_page=20)
            notes = [parse(Annotation, item, "annotation").line for item in listed(answer.json())]
        path = f"/repos/{self._owner}/{self._name}/actions/jobs/{run.id}/logs"
        log = failed_part(job_log(self._service, path)) if run.is_job else ""
        return end_of("\n\n".join(part for part in (run.said, "\n".join(notes), log) if part))

    def _rest(self, limits: Limits) -> Any:
        client = self._clients.get(limits)
        if client is None:
            from githubkit import GitHub, UnauthAuthStrategy

            client = self._clients[limits] = GitHub(
                UnauthAuthStrategy(),
                base_url=self._service.base,
                transport=self._service.transport(limits),
                follow_redirects=False,
                trust_env=False,
                http_cache=False,
                auto_retry=False,
            )
        return client.rest(_VERSION)

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._service.base, self._remedy, lambda refusal: _EXISTS in str(refusal).lower())
