"""Failed checks of Penstock's branches, and of those that a rule names, from each forge's own payload."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.intake import ChecksIntent, NoIntent
from core.rules import read_rules
from gateway import bitbucket, gitea, github, gitlab
from tests.gateway.bitbucket_cases import request, status
from tests.gateway.forge_cases import Forges, Stored

BRANCH = f"penstock/{uuid.UUID('11111111-2222-5333-8444-555555555555')}"
HEAD = "a" * 40
REPOSITORY = {"id": 1, "full_name": "Acme/Shop", "name": "Shop", "owner": {"login": "Acme"}}


def _run(**more: Any) -> dict[str, Any]:
    return {"status": "completed", "conclusion": "failure", "head_branch": BRANCH, "head_sha": HEAD} | more


def _pipeline(**more: Any) -> dict[str, Any]:
    return {
        "object_kind": "pipeline",
        "object_attributes": {"id": 1, "ref": BRANCH, "status": "failed", "sha": HEAD} | more,
        "project": {"id": 1, "path_with_namespace": "Acme/Shop"},
        "merge_request": {"iid": 7, "source_branch": BRANCH},
    }


FAILED: list[tuple[str, str, Mapping[str, Any]]] = [
    ("github", "check_suite", {"action": "completed", "check_suite": _run(), "repository": REPOSITORY}),
    (
        "github",
        "check_run",
        {
            "action": "completed",
            "check_run": {"conclusion": "timed_out", "check_suite": _run(conclusion=None)},
            "repository": REPOSITORY,
        },
    ),
    ("github", "workflow_run", {"action": "completed", "workflow_run": _run(), "repository": REPOSITORY}),
    (
        "github",
        "status",
        {"state": "error", "sha": HEAD, "branches": [{"name": "x"}, {"name": BRANCH}], "repository": REPOSITORY},
    ),
    ("gitea", "workflow_run", {"action": "completed", "workflow_run": _run(), "repository": REPOSITORY}),
    ("gitlab", "", _pipeline()),
    ("gitlab", "", _pipeline(ref="refs/merge-requests/7/head")),
]


def _intent(service: str, event: str, payload: Mapping[str, Any], *rules: str) -> Any:
    used = read_rules(rules)
    if service == "gitlab":
        return gitlab.normalise(payload, rules=used)
    module = {"github": github, "gitea": gitea, "bitbucket": bitbucket}[service]
    return module.normalise(event, payload, rules=used)


@pytest.mark.parametrize(("service", "event", "payload"), FAILED)
def test_a_failed_check_of_our_branch_is_worth_a_look(service: str, event: str, payload: Mapping[str, Any]) -> None:
    found = _intent(service, event, payload)
    assert isinstance(found, ChecksIntent)
    assert (found.service, found.project, found.branch, found.head) == (service, "acme/shop", BRANCH, HEAD)
    assert found.target.repository == "acme/shop"


@pytest.mark.parametrize(
    ("service", "event", "payload"),
    [
        ("github", "check_suite", {"check_suite": _run(conclusion="success"), "repository": REPOSITORY}),
        ("github", "check_suite", {"check_suite": _run(conclusion=None), "repository": REPOSITORY}),
        ("github", "check_suite", {"check_suite": _run(head_branch="main"), "repository": REPOSITORY}),
        ("github", "check_suite", {"check_suite": _run(head_sha="x"), "repository": REPOSITORY}),
        ("github", "check_suite", {"check_suite": None, "repository": REPOSITORY}),
        ("github", "check_run", {"check_run": {"conclusion": "failure"}, "repository": REPOSITORY}),
        ("github", "workflow_run", {"workflow_run": "odd", "repository": REPOSITORY}),
        ("github", "status", {"state": "failure", "sha": HEAD, "branches": None, "repository": REPOSITORY}),
        ("github", "status", {"state": "failure", "sha": HEAD, "branches": [{"name": BRANCH}]}),
        ("gitlab", "", _pipeline(status="success")),
        ("gitlab", "", {**_pipeline(ref="main"), "merge_request": None}),
        ("gitlab", "", {**_pipeline(), "project": None}),
    ],
)
def test_anything_else_is_not(service: str, event: str, payload: Mapping[str, Any]) -> None:
    assert isinstance(_intent(service, event, payload), NoIntent)


MAIN = {"head_branch": "main"}
OF_MAIN: list[tuple[str, str, Mapping[str, Any]]] = [
    ("github", "check_suite", {"check_suite": _run(**MAIN), "repository": REPOSITORY}),
    (
        "github",
        "check_run",
        {"check_run": {"conclusion": "failure", "check_suite": _run(**MAIN)}, "repository": REPOSITORY},
    ),
    ("github", "workflow_run", {"workflow_run": _run(**MAIN), "repository": REPOSITORY}),
    (
        "github",
        "workflow_run",
        {"workflow_run": _run(**MAIN, head_repository={"full_name": "Acme/Shop"}), "repository": REPOSITORY},
    ),
    (
        "github",
        "status",
        {"state": "failure", "sha": HEAD, "branches": [{"name": "x"}, {"name": "main"}], "repository": REPOSITORY},
    ),
    ("gitea", "workflow_run", {"workflow_run": _run(**MAIN), "repository": REPOSITORY}),
    ("gitea", "status", {"state": "failure", "sha": HEAD, "branches": [{"name": "main"}], "repository": REPOSITORY}),
    ("gitlab", "", {**_pipeline(ref="main"), "merge_request": None}),
    ("bitbucket", "repo:commit_status_updated", status(refname="main")),
]


@pytest.mark.parametrize(("service", "event", "payload"), OF_MAIN)
def test_a_failed_check_of_a_branch_that_a_rule_names_is_worth_a_look(
    service: str, event: str, payload: Mapping[str, Any]
) -> None:
    found = _intent(service, event, payload, "opened", "failed:other", "failed:main [acme/*]")
    assert isinstance(found, ChecksIntent)
    assert (found.service, found.project, found.branch, found.head) == (service, "acme/shop", "main", HEAD)
    assert found.rule == "failed:main [acme/*]"
    for rules in ((), ("failed:Main",), ("failed:mai",), ("failed:main [other/*]",)):
        assert isinstance(_intent(service, event, payload, *rules), NoIntent)


def test_a_branch_of_our_own_is_no_watched_one() -> None:
    branches = [{"name": "main"}, {"name": BRANCH}]
    payload = {"state": "failure", "sha": HEAD, "branches": branches, "repository": REPOSITORY}
    found = _intent("github", "status", payload, "failed:main")
    assert (found.branch, found.rule) == (BRANCH, None)


def test_a_branch_of_a_fork_is_not_the_one_that_a_rule_names() -> None:
    fork = _run(**MAIN, head_repository={"full_name": "eve/shop"})
    payload = {"workflow_run": fork, "repository": REPOSITORY}
    assert isinstance(_intent("github", "workflow_run", payload, "failed:main"), NoIntent)


def test_a_passed_check_of_a_watched_branch_is_not_worth_a_look() -> None:
    payload = {"check_suite": _run(**MAIN, conclusion="success"), "repository": REPOSITORY}
    assert isinstance(_intent("github", "check_suite", payload, "failed:main"), NoIntent)


@pytest.mark.parametrize("service", ["github", "gitlab", "bitbucket"])
def test_a_head_is_noted_once_and_only_for_its_own_source(
    make_client: Callable[..., TestClient],
    forges: Forges,
    sender: Any,
    add_source: Callable[..., None],
    stored: Stored,
    service: str,
) -> None:
    add_source("shop", "acme/shop")
    client = make_client(start_rules=("failed:main",))
    _, event, payload = next(case for case in OF_MAIN if case[0] == service)
    signed = {
        "github": lambda name: sender.github(payload, event=event, delivery=name),
        "gitlab": lambda name: forges.gitlab(payload, delivery=name),
        "bitbucket": lambda name: request(forges.credentials.bitbucket_secrets[0], payload, event, name),
    }[service]
    for name in ("d1", "d2", "d2"):
        assert client.request("POST", **signed(name)).status_code in (200, 202)
    noted = [("shop", service, "acme/shop", "main", HEAD, "failed:main", "pending")]
    assert stored("SELECT source, service, project, branch, head, rule, state FROM watched_checks") == noted
    assert stored("SELECT state, count(*) FROM deliveries GROUP BY state") == [("change", 2)]
    assert stored("SELECT count(*) FROM tasks") == [(0,)]
    assert stored("SELECT count(*) FROM feedback") == [(0,)]
