"""Failed checks of Penstock's own branches and of those that a rule names, from the webhooks of forges. Pure functions.

A delivery only says that it is worth looking: which checks have failed, and which of them matter, is asked of the forge
once all have ended. Deliveries in an unknown form are not worth it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from core.follow_ups import task_of
from core.intake import ChecksIntent, Target
from core.payload import BadField, Needed, Payload, Text, parse
from core.repository_names import RepositoryId
from core.rules import Rules
from core.tickets import Service, bitbucket
from core.tickets.fields import CommitId, Repository, RepositoryName

_FAILED = ("failure", "timed_out", "startup_failure", "error", "failed")


def _of_interest(
    names: Iterable[str | None], rules: Rules, service: Service, project: str
) -> tuple[str, str | None] | None:
    """The first of these branches that is Penstock's own or, if none is, that a rule names, with that rule."""
    found = [name for name in names if name]
    own = next((name for name in found if task_of(name)), None)
    if own is not None:
        return own, None
    watched = ((name, rules.watching(name, service, project)) for name in found)
    return next(((name, str(rule)) for name, rule in watched if rule is not None), None)


class _HeadRepository(Payload):
    full_name: Text | None = None


class _Run(Payload):
    """A check suite, a check run or a run of a workflow, whose branch may be one of a fork."""

    head_repository: _HeadRepository | None = None
    status: Text | None = None
    conclusion: Text | None = None
    head_branch: Text | None = None
    head_sha: CommitId = None


class _CheckRun(Payload):
    conclusion: Text | None = None
    check_suite: _Run | None = None


class _Name(Payload):
    name: Text | None = None


class _Delivery(Payload):
    repository: Needed[Repository]
    check_suite: _Run | None = None
    check_run: _CheckRun | None = None
    workflow_run: _Run | None = None
    state: Text | None = None
    sha: CommitId = None
    branches: list[_Name] | None = None

    def ended(self, event: str) -> tuple[str | None, list[str], str | None]:
        """The conclusion, the branches and the commit."""
        if event == "status":
            return self.state, [one.name or "" for one in self.branches or ()], self.sha
        if event == "check_run" and self.check_run is not None:
            suite = self.check_run.check_suite or _Run()
            return self.check_run.conclusion, [suite.head_branch or ""], suite.head_sha
        run = (self.check_suite if event == "check_suite" else self.workflow_run) or _Run()
        place = run.head_repository.full_name if run.head_repository else None
        is_of_fork = place is not None and place.lower() != self.repository.full_name
        return run.conclusion, [] if is_of_fork else [run.head_branch or ""], run.head_sha


def checks_intent(event: str, payload: Mapping[str, Any], service: Service, rules: Rules) -> ChecksIntent | None:
    """What a delivery of GitHub or Gitea says about the checks of such a branch, if one has failed."""
    if event not in ("check_suite", "check_run", "workflow_run", "status"):
        return None
    try:
        delivery = parse(_Delivery, payload)
    except BadField:
        return None
    conclusion, branches, head = delivery.ended(event)
    repository = delivery.repository
    found = _of_interest(branches, rules, service, repository.full_name)
    if found is None or head is None or (conclusion or "").lower() not in _FAILED:
        return None
    target = Target(repository=repository.full_name, forge_id=repository.identity(service))
    return ChecksIntent(target, service, repository.full_name, found[0], head, found[1])


class _Pipeline(Payload):
    ref: Text | None = None
    status: Text | None = None
    sha: CommitId = None


class _Project(Payload):
    path_with_namespace: RepositoryName


class _SourceBranch(Payload):
    source_branch: Text | None = None


class _PipelineDelivery(Payload):
    project: Needed[_Project]
    object_attributes: Needed[_Pipeline]
    merge_request: _SourceBranch | None = None


def pipeline_intent(payload: Mapping[str, Any], identity: RepositoryId | None, rules: Rules) -> ChecksIntent | None:
    """The same of GitLab's pipelines, also those of merge requests, whose `ref` is another."""
    try:
        delivery = parse(_PipelineDelivery, payload)
    except BadField:
        return None
    pipeline, request = delivery.object_attributes, delivery.merge_request
    project = delivery.project.path_with_namespace
    names = (pipeline.ref, request.source_branch if request else None)
    found = _of_interest(names, rules, Service.GITLAB, project)
    if found is None or pipeline.sha is None or pipeline.status not in _FAILED:
        return None
    target = Target(repository=project, forge_id=identity)
    return ChecksIntent(target, Service.GITLAB, project, found[0], pipeline.sha, found[1])


class _Link(Payload):
    href: Text | None = None


class _StatusLinks(Payload):
    commit: _Link | None = None


class _CommitStatus(Payload):
    """`refname` is the branch that was built, if the builder says it. Older payloads link to the commit alone."""

    state: Text | None = None
    refname: Text | None = None
    commit: bitbucket.Commit | None = None
    links: _StatusLinks | None = None

    @property
    def head(self) -> str | None:
        if self.commit is not None and self.commit.hash is not None:
            return self.commit.hash
        link = self.links and self.links.commit and self.links.commit.href
        return parse(bitbucket.Commit, {"hash": (link or "").rpartition("/")[2]}).hash


class _StatusDelivery(Payload):
    repository: Needed[bitbucket.Repository]
    commit_status: Needed[_CommitStatus]


def status_intent(payload: Mapping[str, Any], rules: Rules) -> ChecksIntent | None:
    """The same of Bitbucket's commit statuses, which Pipelines and other builders set."""
    try:
        delivery = parse(_StatusDelivery, payload)
    except BadField:
        return None
    status, repository = delivery.commit_status, delivery.repository
    found, head = _of_interest((status.refname,), rules, Service.BITBUCKET, repository.full_name), status.head
    if found is None or head is None or status.state != "FAILED":
        return None
    target = Target(repository=repository.full_name, forge_id=repository.identity())
    return ChecksIntent(target, Service.BITBUCKET, repository.full_name, found[0], head, found[1])
