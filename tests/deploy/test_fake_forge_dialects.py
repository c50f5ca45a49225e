"""What the fake forge answers in the dialects of GitHub, GitLab and Gitea."""

import base64
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.fake_forge import FakeForge
from tests.deploy.forge_clients import SHOP, client, told

# GitHub


def test_github_opens_one_draft_for_two_branches(github: httpx.Client, push: Callable[..., str]) -> None:
    commit = push("fix/one")
    wanted = {"title": "Fix", "head": "fix/one", "base": "main", "body": "Because", "draft": True}
    made = told(github.post("/pulls", json=wanted), 201)
    assert (made["number"], made["draft"], made["head"]["sha"], made["commits"]) == (1, True, commit, 1)
    assert made["html_url"].endswith("/acme/shop/pull/1")
    refused = told(github.post("/pulls", json=wanted | {"head": "acme:fix/one"}), 422)
    assert refused["errors"] == [
        {
            "resource": "PullRequest",
            "code": "custom",
            "message": "A pull request already exists for acme:fix/one.",
        }
    ]
    assert [pull["number"] for pull in told(github.get("/pulls?head=acme:fix/one&state=open"), 200)] == [1]
    assert told(github.get("/pulls?head=acme:other"), 200) == []
    assert told(github.patch("/pulls/1", json={"title": "Better", "state": "closed"}), 200)["state"] == "closed"
    assert told(github.post("/pulls", json=wanted), 201)["number"] == 2
    assert "already exists" in github.patch("/pulls/1", json={"state": "open"}).text


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"head": "nowhere"}, {"resource": "PullRequest", "code": "invalid", "field": "head"}),
        ({"head": "main~0"}, {"resource": "PullRequest", "code": "invalid", "field": "head"}),
        ({"head": "a\0b"}, {"resource": "PullRequest", "code": "invalid", "field": "head"}),
        ({"base": "nowhere"}, {"resource": "PullRequest", "code": "invalid", "field": "base"}),
        ({"title": None}, {"resource": "PullRequest", "code": "missing_field", "field": "title"}),
        (
            {"head": "main"},
            {"resource": "PullRequest", "code": "custom", "message": "No commits between main and main"},
        ),
        (
            {"body": "é" * 65537},
            {
                "resource": "Issue",
                "code": "custom",
                "field": "body",
                "message": "body is too long (maximum is 65536 characters)",
            },
        ),
    ],
)
def test_github_says_what_is_wrong_with_a_pull_request(
    github: httpx.Client, push: Callable[..., str], change: dict[str, Any], error: dict[str, str]
) -> None:
    push("fix/one")
    wanted = {"title": "Fix", "head": "fix/one", "base": "main", "body": "é" * 65536} | change
    assert told(github.post("/pulls", json=wanted), 422)["errors"] == [error]


def test_github_pages_comments(forge: FakeForge, github: httpx.Client) -> None:
    forge.add_issue(SHOP, "Wrong total")
    for number in range(5):
        told(github.post("/issues/1/comments", json={"body": str(number)}), 201)
    found, url = [], "/issues/1/comments?per_page=2"
    while url:
        answer = github.get(url)
        found.append([comment["body"] for comment in told(answer, 200)])
        url = answer.links.get("next", {}).get("url", "")
    assert found == [["0", "1"], ["2", "3"], ["4"]]
    comment = github.get("/issues/1/comments").json()[0]
    assert told(github.patch(f"/issues/comments/{comment['id']}", json={"body": "new"}), 200)["body"] == "new"
    assert github.delete(f"/issues/comments/{comment['id']}").status_code == 204
    refused = told(github.post("/issues/1/comments", json={"body": "x" * 65537}), 422)
    assert refused["errors"][0]["resource"] == "IssueComment"


def test_github_labels_reviewers_contents_and_permissions(
    forge: FakeForge, github: httpx.Client, push: Callable[..., str]
) -> None:
    push("fix/one")
    forge.add_pull(SHOP, "fix/one")
    forge.grant(SHOP, "eve", "read")
    assert [label["name"] for label in told(github.post("/issues/1/labels", json={"labels": ["ai"]}), 200)] == ["ai"]
    assert told(github.post("/labels", json={"name": "bug", "color": "ff0000"}), 201)["color"] == "ff0000"
    assert told(github.post("/labels", json={"name": "bug"}), 422)["errors"][0]["code"] == "already_exists"
    asked = told(github.post("/pulls/1/requested_reviewers", json={"reviewers": ["eve"]}), 201)
    assert [user["login"] for user in asked["requested_reviewers"]] == ["eve"]
    assert github.post("/pulls/1/requested_reviewers", json={"reviewers": ["nobody"]}).status_code == 422
    file = told(github.get("/contents/docs/read.md"), 200)
    assert base64.b64decode(file["content"]) == b"Read me\n"
    assert [entry["type"] for entry in told(github.get("/contents"), 200)] == ["dir", "file"]
    assert told(github.get("/contents/shop.py?ref=fix/one"), 200)["size"] == len("TOTAL = 3\n")
    assert github.get("/contents/../seed").status_code == 404
    assert told(github.get("/collaborators/eve/permission"), 200)["permission"] == "read"
    assert told(github.get("/branches/fix/one"), 200)["name"] == "fix/one"
    assert told(github.get(""), 200)["permissions"]["push"] is True


def test_github_refuses_unknown_and_weak_tokens(forge: FakeForge, github: httpx.Client) -> None:
    forge.add_issue(SHOP, "Wrong total")
    with client(f"{forge.github_url}/repos/{SHOP}") as other:
        assert told(other.get("", headers={"Authorization": "Bearer no"}), 401)["message"] == "Bad credentials"
        assert told(other.get(""), 200)["name"] == "shop"
        assert other.post("/issues/1/comments", json={"body": "x"}).status_code == 401
        forge.grant(SHOP, "eve", "read")
        weak = {"Authorization": f"token {forge.add_token('eve')}"}
        assert other.post("/issues/1/comments", json={"body": "x"}, headers=weak).status_code == 403
    assert forge.issue(SHOP, 1).comments == []
    assert [request.token for request in forge.requests] == ["?", "", "", "eve"]


def _jwt(key: Path | None = None, **claims: float) -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    facts = {"iat": time.time() - 60, "exp": time.time() + 300, "iss": "4711", **claims}
    signed = f"{part(json.dumps({'alg': 'RS256', 'typ': 'JWT'}).encode())}.{part(json.dumps(facts).encode())}"
    signature = b"none"
    if key:
        command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
        signature = subprocess.run(command, input=signed.encode(), capture_output=True, check=True).stdout
    return f"{signed}.{part(signature)}"


def test_a_github_app_gets_a_token_and_reports_check_runs(forge: FakeForge, tmp_path: Path) -> None:
    private, public = tmp_path / "app.pem", tmp_path / "app.pub"
    subprocess.run(["openssl", "genrsa", "-out", str(private), "2048"], capture_output=True, check=True)
    subprocess.run(
        ["openssl", "rsa", "-in", str(private), "-pubout", "-out", str(public)], capture_output=True, check=True
    )
    forge.app.public_key = public
    number = forge.install_app(SHOP)
    with client(forge.github_url) as api:

        def as_app(jwt: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {jwt}"}

        for bad in (_jwt(), _jwt(private, exp=time.time() - 1), _jwt(private, exp=time.time() + 3600), "a.b.c"):
            assert api.get("/app", headers=as_app(bad)).status_code == 401
        good = as_app(_jwt(private))
        assert told(api.get("/app", headers=good), 200)["slug"] == "penstock"
        found = told(api.get(f"/repos/{SHOP}/installation", headers=good), 200)
        assert found["id"] == number
        token = told(api.post(f"/app/installations/{number}/access_tokens", headers=good), 201)["token"]
        run = {"name": "penstock", "head_sha": "0" * 40}
        assert (
            api.post(f"/repos/{SHOP}/check-runs", json=run, headers=as_app(forge.add_token("bot"))).status_code == 403
        )
        made = told(api.post(f"/repos/{SHOP}/check-runs", json=run, headers=as_app(token)), 201)
        assert (made["status"], made["conclusion"]) == ("queued", None)
        place = f"/repos/{SHOP}/check-runs/{made['id']}"
        assert api.patch(place, json={"conclusion": "perfect"}, headers=as_app(token)).status_code == 422
        assert (
            told(api.patch(place, json={"conclusion": "success"}, headers=as_app(token)), 200)["status"] == "completed"
        )


# GitLab


def test_gitlab_opens_one_draft_for_two_branches(
    forge: FakeForge, gitlab: httpx.Client, push: Callable[..., str]
) -> None:
    commit = push("fix/one")
    forge.add_issue(SHOP, "Wrong total")
    wanted = {"title": "Draft: Fix", "source_branch": "fix/one", "target_branch": "main", "labels": "ai,bug"}
    made = told(gitlab.post("/merge_requests", data=wanted), 201)  # a form, as GitLab also takes
    assert (made["iid"], made["title"], made["draft"], made["sha"]) == (1, "Draft: Fix", True, commit)
    assert made["labels"] == ["ai", "bug"]
    assert made["web_url"].endswith("/acme/shop/-/merge_requests/1")
    assert forge.repository(SHOP).pulls[0].number == 2
    refused = told(gitlab.post("/merge_requests", json=wanted), 409)
    assert refused["message"] == ["Another open merge request already exists for this source branch: !1"]
    found = told(gitlab.get("/merge_requests?source_branch=fix/one&state=opened"), 200)
    assert [item["iid"] for item in found] == [1]
    edited = told(gitlab.put("/merge_requests/1", json={"title": "Fix", "state_event": "close"}), 200)
    assert (edited["title"], edited["draft"], edited["state"]) == ("Fix", False, "closed")
    assert told(gitlab.get("/merge_requests?source_branch=fix/one&state=opened"), 200) == []


def test_gitlab_says_what_is_wrong_with_a_merge_request(gitlab: httpx.Client) -> None:
    wanted = {"title": "Fix", "source_branch": "main", "target_branch": "main"}
    assert gitlab.post("/merge_requests", json=wanted).status_code == 422
    assert told(gitlab.post("/merge_requests", json={"title": "x"}), 400) == {"error": "source_branch is missing"}
    assert gitlab.post("/merge_requests", json=wanted | {"source_branch": "nowhere"}).status_code == 400
    assert told(gitlab.get("/merge_requests/7"), 404) == {"message": "404 Not found"}


def test_gitlab_pages_notes_from_the_newest(forge: FakeForge, gitlab: httpx.Client) -> None:
    forge.add_issue(SHOP, "Wrong total")
    for number in range(3):
        told(gitlab.post("/issues/1/notes", json={"body": str(number)}), 201)
    answer = gitlab.get("/issues/1/notes?per_page=2")
    assert [note["body"] for note in told(answer, 200)] == ["2", "1"]
    assert (answer.headers["x-next-page"], answer.headers["x-total"]) == ("2", "3")
    last = gitlab.get(answer.links["next"]["url"])
    assert [note["body"] for note in told(last, 200)] == ["0"]
    assert last.headers["x-next-page"] == ""
    note = last.json()[0]["id"]
    assert told(gitlab.put(f"/issues/1/notes/{note}", json={"body": "new"}), 200)["body"] == "new"
    assert gitlab.delete(f"/issues/1/notes/{note}").status_code == 204


def test_gitlab_knows_members_users_and_branches(
    forge: FakeForge, gitlab: httpx.Client, push: Callable[..., str], token: str
) -> None:
    commit = push("fix/one")
    with client(forge.gitlab_url, Authorization=f"Bearer {token}") as api:
        me = told(api.get("/user"), 200)
        assert told(api.get("/users?username=bot"), 200)[0]["id"] == me["id"]
        assert told(api.get("/user", headers={"Authorization": "Bearer no"}), 401) == {"message": "401 Unauthorized"}
    assert told(gitlab.get(f"/members/all/{me['id']}"), 200)["access_level"] == 30
    assert gitlab.get(f"/members/all/{forge.add_user('eve').id}").status_code == 404
    assert told(gitlab.get("/repository/branches/fix%2Fone"), 200)["commit"]["id"] == commit
    assert told(gitlab.get(""), 200)["path_with_namespace"] == SHOP


# Gitea


def test_gitea_opens_one_draft_for_two_branches(gitea: httpx.Client, push: Callable[..., str]) -> None:
    commit = push("fix/one")
    wanted = {"title": "WIP: Fix", "head": "fix/one", "base": "main"}
    made = told(gitea.post("/pulls", json=wanted), 201)
    assert (made["number"], made["title"], made["draft"], made["head"]["sha"]) == (1, "WIP: Fix", True, commit)
    assert made["html_url"].endswith("/acme/shop/pulls/1")
    assert "issue_id: 1" in told(gitea.post("/pulls", json=wanted), 409)["message"]
    assert told(gitea.get("/pulls/main/fix/one"), 200)["number"] == 1
    assert told(gitea.get("/pulls/main/fix%2Fone"), 200)["number"] == 1
    assert gitea.get("/pulls/main/other").status_code == 404
    edited = told(gitea.patch("/pulls/1", json={"title": "Fix", "state": "closed"}), 201)  # as Gitea answers
    assert (edited["title"], edited["draft"], edited["state"]) == ("Fix", False, "closed")
    answer = gitea.get("/pulls?state=all&limit=1")
    assert (told(answer, 200)[0]["requested_reviewers"], answer.headers["X-Total-Count"]) == (None, "1")
    assert told(gitea.post("/pulls", json=wanted | {"head": "nowhere"}), 404)["message"] == "not found"
    assert gitea.post("/pulls", json=wanted | {"head": "main"}).status_code == 422


def test_gitea_gives_all_comments_whatever_page_is_asked_for(forge: FakeForge, gitea: httpx.Client) -> None:
    forge.add_issue(SHOP, "Wrong total")
    for number in range(3):
        told(gitea.post("/issues/1/comments", json={"body": str(number)}), 201)
    answer = gitea.get("/issues/1/comments?limit=1&page=2")
    assert [comment["body"] for comment in told(answer, 200)] == ["0", "1", "2"]
    number = answer.json()[0]["id"]
    assert told(gitea.patch(f"/issues/comments/{number}", json={"body": "new"}), 200)["body"] == "new"
    assert told(gitea.post("/issues/1/comments", json={"body": ""}), 422)["message"] == "[Body]: Required"


def test_gitea_labels_contents_and_permissions(forge: FakeForge, gitea: httpx.Client) -> None:
    forge.add_issue(SHOP, "Wrong total")
    label = told(gitea.post("/labels", json={"name": "bug", "color": "#ff0000"}), 201)
    assert label["color"] == "ff0000"
    added = told(gitea.post("/issues/1/labels", json={"labels": [label["id"], "unknown"]}), 200)
    assert [item["name"] for item in added] == ["bug"]
    assert base64.b64decode(told(gitea.get("/contents/shop.py"), 200)["content"]) == b"TOTAL = 2\n"
    assert gitea.get("/contents/nothing").status_code == 404
    assert told(gitea.get("/collaborators/bot/permission"), 200)["permission"] == "write"
    assert "repo admins can query all" in told(gitea.get("/collaborators/acme/permission"), 403)["message"]
    forge.grant(SHOP, "bot", "admin")
    assert told(gitea.get("/collaborators/acme/permission"), 200)["permission"] == "owner"
    assert told(gitea.get("/branches/main"), 200)["user_can_push"] is True
    assert gitea.get("", headers={"Authorization": "token no"}).status_code == 401
