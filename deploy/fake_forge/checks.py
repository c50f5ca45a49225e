"""Checks of commits: GitHub's check runs and statuses, GitLab's jobs with their logs, Gitea's statuses.

All dialects show the state's check runs.
"""

from typing import Any

from deploy.fake_forge import gitea, github, github_app, github_shapes, gitlab
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
    shown = [github_shapes.check_run(call.url, found, run, github_app.shown_app(call)) for run in page.items]
    return Reply(200, {"total_count": len(shown), "check_runs": shown}, github.link(call, page))


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
