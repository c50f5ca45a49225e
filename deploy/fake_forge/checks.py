"""Checks of commits: GitHub's check runs and statuses, GitLab's jobs with their logs, Gitea's statuses, and the logs of
GitHub's Actions and Bitbucket's Pipelines, which are at another address.

All dialects show the state's check runs.
"""

from typing import Any

from deploy.fake_forge import bitbucket, bitbucket_shapes, gitea, github, github_app, github_shapes, gitlab
from deploy.fake_forge.exchange import Call, Reply, index
from deploy.fake_forge.records import OPTIONAL, CheckRun, NotFound, Repository


def _runs(found: Repository, commit: str) -> list[CheckRun]:
    return [run for run in found.check_runs if run.head_commit == commit]


def _log(run: CheckRun) -> str:
    return str(run.output.get("summary", ""))


@github.ROUTES("GET", "repos/{owner}/{repo}/commits/{commit}/check-runs")
def list_check_runs(call: Call, owner: str, repo: str, commit: str) -> Reply:
    found = github.found_repository(call, owner, repo)
    page = github.paged(call, _runs(found, commit))
    shown = [github_shapes.check_run(call.url, found, run, _app(call, run)) for run in page.items]
    return Reply(200, {"total_count": len(shown), "check_runs": shown}, github.link(call, page))


def _app(call: Call, run: CheckRun) -> dict[str, Any]:
    shown = github_app.shown_app(call)
    return shown if run.job_log is None else shown | {"slug": "github-actions", "name": "GitHub Actions"}


@github.ROUTES("GET", "repos/{owner}/{repo}/actions/jobs/{number}/logs")
def actions_log(call: Call, owner: str, repo: str, number: str) -> Reply:
    run = call.state.check_run(github.found_repository(call, owner, repo), index(number))
    if run.job_log is None:
        raise NotFound(number)
    return Reply(302, None, {"Location": call.state.hand_out(run.job_log)})


@github.ROUTES("GET", "repos/{owner}/{repo}/check-runs/{number}/annotations")
def list_annotations(call: Call, owner: str, repo: str, number: str) -> Reply:
    found = github.found_repository(call, owner, repo)
    call.state.check_run(found, index(number))
    return Reply(200, [])


@github.ROUTES("GET", "repos/{owner}/{repo}/commits/{commit}/status")
def combined_status(call: Call, owner: str, repo: str, commit: str) -> Reply:
    github.found_repository(call, owner, repo)
    return Reply(200, {"state": "pending", "sha": commit, "total_count": 0, "statuses": []})


@github.ROUTES("GET", "repos/{owner}/{repo}/rules/branches/{branch...}")
def branch_rules(call: Call, owner: str, repo: str, branch: str) -> Reply:
    found = github.found_repository(call, owner, repo)
    names = {run.name for run in found.check_runs if run.external_id != OPTIONAL}
    if len(names) == len({run.name for run in found.check_runs}):
        return Reply(200, [])
    required = [{"context": name} for name in sorted(names)]
    return Reply(200, [{"type": "required_status_checks", "parameters": {"required_status_checks": required}}])


_GITLAB = {"queued": "pending", "in_progress": "running"}
_CONCLUSIONS = {"success": "success", "failure": "failed"}


@gitlab.ROUTES("GET", "projects/{project}/repository/commits/{commit}/statuses")
def list_statuses(call: Call, project: str, commit: str) -> Reply:
    found = gitlab.found_project(call, project)
    return Reply(200, [_status(call, found, run) for run in _runs(found, commit)])


def _status(call: Call, found: Repository, run: CheckRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "sha": run.head_commit,
        "name": run.name,
        "status": _GITLAB.get(run.status) or _CONCLUSIONS.get(run.conclusion or "", "success"),
        "allow_failure": run.external_id == OPTIONAL,
        "target_url": f"{call.url}/{found.full_name}/-/jobs/{run.id}",
        "description": None,
    }


@gitlab.ROUTES("GET", "projects/{project}/jobs/{number}/trace")
def job_log(call: Call, project: str, number: str) -> Reply:
    found = gitlab.found_project(call, project)
    for run in found.check_runs:
        if run.id == index(number):
            return Reply(200, _log(run).encode(), {"Content-Type": "text/plain"})
    raise NotFound(number)


@gitea.ROUTES("GET", "repos/{owner}/{repo}/commits/{commit}/status")
def combined(call: Call, owner: str, repo: str, commit: str) -> Reply:
    found = gitea.found_repository(call, owner, repo)
    states = {"queued": "pending", "in_progress": "pending"}
    shown = [
        {
            "context": run.name,
            "status": states.get(run.status) or run.conclusion,
            "target_url": f"{call.url}/{found.full_name}/actions/runs/{run.id}",
            "description": _log(run)[:140],
        }
        for run in _runs(found, commit)
    ]
    return Reply(200, {"state": "", "sha": commit, "total_count": len(shown), "statuses": shown})


@bitbucket.ROUTES("GET", "repositories/{owner}/{slug}/pipelines")
def list_pipelines(call: Call, owner: str, slug: str) -> Reply:
    runs = _runs(bitbucket.found_repository(call, owner, slug), call.query.get("target.commit.hash", ""))
    return bitbucket.listed(call, [run for run in runs if run.job_log is not None], bitbucket_shapes.pipeline)


@bitbucket.ROUTES("GET", "repositories/{owner}/{slug}/pipelines/{pipeline}/steps")
def list_steps(call: Call, owner: str, slug: str, pipeline: str) -> Reply:
    run = _build(call, owner, slug, pipeline)
    passed = bitbucket_shapes.step(run, "Set up", "success")
    return bitbucket.listed(call, [passed, bitbucket_shapes.step(run, run.name, run.conclusion)], lambda step: step)


@bitbucket.ROUTES("GET", "repositories/{owner}/{slug}/pipelines/{pipeline}/steps/{step}/log")
def step_log(call: Call, owner: str, slug: str, pipeline: str, step: str) -> Reply:
    run = _build(call, owner, slug, pipeline)
    if step != bitbucket_shapes.step(run, run.name, run.conclusion)["uuid"]:
        raise NotFound(step)
    return Reply(307, None, {"Location": call.state.hand_out(run.job_log or b"")})


def _build(call: Call, owner: str, slug: str, pipeline: str) -> CheckRun:
    for run in bitbucket.found_repository(call, owner, slug).check_runs:
        if run.job_log is not None and pipeline == bitbucket_shapes.pipeline(run)["uuid"]:
            return run
    raise NotFound(pipeline)
