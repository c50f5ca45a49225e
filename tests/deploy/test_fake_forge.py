"""The fake forge: what its three dialects and its git answer, and the failures that it is told to have."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.fake_forge import FakeForge

ROOT = Path(__file__).parents[2]
SHOP = "acme/shop"


def git(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=check, env=environment)


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    """A forge with `acme/shop`, which `bot` may write and `eve` may read."""
    seed = tmp_path / "seed"
    (seed / "docs").mkdir(parents=True)
    (seed / "shop.py").write_text("TOTAL = 2\n")
    (seed / "docs" / "read.md").write_text("Read me\n")
    with FakeForge(tmp_path / "forge") as made:
        made.add_repository(SHOP, seed)
        made.grant(SHOP, "bot", "write")
        yield made


@pytest.fixture
def token(forge: FakeForge) -> str:
    return forge.add_token("bot")


@pytest.fixture
def push(forge: FakeForge, token: str, tmp_path: Path) -> Callable[..., str]:
    """Pushes a branch with one more commit and returns the commit."""
    clone = tmp_path / "clone"

    def pushed(branch: str, content: str = "TOTAL = 3\n") -> str:
        if not clone.is_dir():
            git("clone", "--quiet", forge.git_url(SHOP), str(clone))
        git("-C", str(clone), "checkout", "--quiet", "-B", branch)
        (clone / "shop.py").write_text(content)
        git("-C", str(clone), "commit", "--quiet", "--all", "--allow-empty", "--message", "Count again")
        git("-C", str(clone), "push", "--quiet", "--force", forge.git_url(SHOP, token), branch)
        return git("-C", str(clone), "rev-parse", "HEAD").stdout.strip()

    return pushed


def client(url: str, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)


@pytest.fixture
def github(forge: FakeForge, token: str) -> Iterator[httpx.Client]:
    with client(f"{forge.github_url}/repos/{SHOP}", Authorization=f"Bearer {token}") as made:
        yield made


@pytest.fixture
def gitlab(forge: FakeForge, token: str) -> Iterator[httpx.Client]:
    with client(f"{forge.gitlab_url}/projects/acme%2Fshop", **{"PRIVATE-TOKEN": token}) as made:
        yield made


@pytest.fixture
def gitea(forge: FakeForge, token: str) -> Iterator[httpx.Client]:
    with client(f"{forge.gitea_url}/repos/{SHOP}", Authorization=f"token {token}") as made:
        yield made


def told(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


# Git


def test_a_push_over_http_is_kept_and_can_be_fetched(
    forge: FakeForge, push: Callable[..., str], tmp_path: Path
) -> None:
    commit = push("fix/one")
    git("clone", "--quiet", "--branch", "fix/one", forge.git_url(SHOP), str(tmp_path / "second"))
    assert git("-C", str(tmp_path / "second"), "rev-parse", "HEAD").stdout.strip() == commit
    assert [(write.action, write.subject, write.user) for write in forge.writes] == [("branch.push", "fix/one", "bot")]


def test_a_large_push_that_git_sends_in_chunks_arrives(forge: FakeForge, token: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "--quiet", forge.git_url(SHOP), str(clone))
    (clone / "large").write_bytes(os.urandom(3 << 20))  # more than http.postBuffer, which is 1 MiB
    git("-C", str(clone), "add", "large")
    git("-C", str(clone), "commit", "--quiet", "--message", "Large")
    git("-C", str(clone), "push", "--quiet", forge.git_url(SHOP, token), "HEAD:large")
    assert git("-C", str(forge.repository(SHOP).path), "cat-file", "-s", "large:large").stdout == f"{3 << 20}\n"


def test_only_a_token_that_may_write_can_push(forge: FakeForge, push: Callable[..., str], tmp_path: Path) -> None:
    push("fix/one")
    forge.grant(SHOP, "eve", "read")
    reasons = {"": "could not read Username", "wrong": "Authentication failed", forge.add_token("eve"): "403"}
    for credential, reason in reasons.items():
        pushed = git("-C", str(tmp_path / "clone"), "push", forge.git_url(SHOP, credential), "HEAD:x", check=False)
        assert reason in pushed.stderr
        assert pushed.returncode != 0
    assert git("-C", str(forge.repository(SHOP).path), "branch", "--list", "x").stdout == ""


def test_a_private_repository_is_closed_to_strangers(forge: FakeForge, tmp_path: Path) -> None:
    forge.add_repository("acme/secret", tmp_path / "seed", private=True)
    assert git("ls-remote", forge.git_url("acme/secret"), check=False).returncode != 0
    assert git("ls-remote", forge.git_url("acme/secret", forge.add_token("acme"))).stdout
    for url in (f"{forge.github_url}/repos/acme/secret", f"{forge.gitlab_url}/projects/acme%2Fsecret"):
        assert httpx.get(url, trust_env=False).status_code == 404


def test_a_push_moves_the_head_of_an_open_pull_request_and_one_to_the_base_merges_it(
    forge: FakeForge, push: Callable[..., str], token: str, tmp_path: Path
) -> None:
    push("fix/one")
    pull = forge.add_pull(SHOP, "fix/one")
    commit = push("fix/one", "TOTAL = 4\n")
    assert (pull.head_commit, pull.state) == (commit, "open")
    git("-C", str(tmp_path / "clone"), "push", "--quiet", forge.git_url(SHOP, token), "fix/one:main")
    assert pull.state == "closed"
    assert pull.merged


def test_merging_makes_a_merge_commit(forge: FakeForge, push: Callable[..., str]) -> None:
    push("fix/one")
    forge.add_pull(SHOP, "fix/one")
    forge.merge(SHOP, 1)
    assert forge.pull(SHOP, 1).merged
    shown = git("-C", str(forge.repository(SHOP).path), "show", "main:shop.py").stdout
    assert shown == "TOTAL = 3\n"


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
    assert told(gitea.get("/collaborators/acme/permission"), 200)["permission"] == "owner"
    assert told(gitea.get("/branches/main"), 200)["user_can_push"] is True
    assert gitea.get("", headers={"Authorization": "token no"}).status_code == 401


# One state


def test_what_one_dialect_writes_the_others_show(
    forge: FakeForge, github: httpx.Client, gitlab: httpx.Client, gitea: httpx.Client, push: Callable[..., str]
) -> None:
    forge.add_issue(SHOP, "Wrong total")
    push("fix/one")
    told(github.post("/pulls", json={"title": "Fix", "head": "fix/one", "base": "main", "draft": True}), 201)
    told(gitea.post("/issues/2/comments", json={"body": "from Gitea"}), 201)
    assert told(gitlab.get("/merge_requests/1"), 200)["title"] == "Draft: Fix"
    assert told(gitlab.get("/merge_requests/1/notes"), 200)[0]["body"] == "from Gitea"
    assert told(gitea.get("/pulls/2"), 200)["title"] == "WIP: Fix"
    assert "pull_request" in told(github.get("/issues/2"), 200)
    for place in ("pull/2", "pulls/2", "-/merge_requests/1"):
        page = httpx.get(f"{forge.url}/{SHOP}/{place}", trust_env=False).text
        assert "acme/shop#2: Fix\nopened by bot, a draft" in page
        assert "from Gitea" in page
    assert [write.dialect for write in forge.writes] == ["python", "git", "github", "gitea"]


@pytest.mark.parametrize(
    ("dialect", "place", "status", "fields"),
    [
        ("github_url", f"/repos/{SHOP}/pulls", 422, ("head", "base")),
        ("gitlab_url", "/projects/acme%2Fshop/merge_requests", 409, ("source_branch", "target_branch")),
        ("gitea_url", f"/repos/{SHOP}/pulls", 409, ("head", "base")),
    ],
)
def test_of_100_simultaneous_creations_one_succeeds(
    forge: FakeForge,
    push: Callable[..., str],
    token: str,
    dialect: str,
    place: str,
    status: int,
    fields: tuple[str, str],
) -> None:
    push("fix/one")
    together = threading.Barrier(100)
    wanted = dict(zip(fields, ("fix/one", "main"), strict=True)) | {"title": "Fix"}

    with client(getattr(forge, dialect), Authorization=f"Bearer {token}") as api:

        def create(_: int) -> int:
            together.wait()
            return api.post(place, json=wanted, timeout=120).status_code

        with ThreadPoolExecutor(100) as pool:
            answers = sorted(pool.map(create, range(100)))
    assert answers == [201] + [status] * 99
    assert len(forge.repository(SHOP).pulls) == 1


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("/api/v3/repos/acme/shop/milestones", {"message": "Not Found"}),
        ("/api/v4/projects/acme%2Fshop/wikis", {"error": "404 Not Found"}),
        ("/api/v1/repos/acme/shop/pulls/1/files", {"message": "not found"}),
    ],
)
def test_an_endpoint_that_the_fake_lacks_is_answered_and_noted(
    forge: FakeForge, place: str, body: dict[str, str]
) -> None:
    answer = told(httpx.get(f"{forge.url}{place}", trust_env=False), 404)
    assert body.items() <= answer.items()
    assert [request.path for request in forge.unknown] == [place]


def test_a_known_endpoint_with_nothing_there_is_not_noted_as_unknown(forge: FakeForge, github: httpx.Client) -> None:
    assert told(github.get("/pulls/99"), 404)["message"] == "Not Found"
    assert told(github.post("/issues/1/comments", content=b"{"), 404)["status"] == "404"
    forge.add_issue(SHOP, "Wrong total")
    assert told(github.post("/issues/1/comments", content=b"{"), 400)["message"] == "Problems parsing JSON"
    assert forge.unknown == []


def test_the_log_never_holds_a_token(forge: FakeForge, github: httpx.Client, token: str) -> None:
    github.get("")
    assert forge.requests[-1].token == "bot"
    assert forge.requests[-1].status == 200
    assert token not in repr((forge.requests, forge.writes, forge.state.tokens.values()))


# Faults


def test_faults_are_applied_in_order_and_as_often_as_told(forge: FakeForge, github: httpx.Client) -> None:
    forge.add_fault(
        "status", path="/pulls", status=403, times=2, headers={"Retry-After": "7"}, body={"message": "slow"}
    )
    forge.add_fault("html", method="GET")
    first = github.get("/pulls")
    assert (first.status_code, first.headers["Retry-After"], first.json()) == (403, "7", {"message": "slow"})
    assert github.get("").headers["content-type"].startswith("text/html")
    assert [github.get("/pulls").status_code for _ in range(2)] == [403, 200]
    assert [request.fault for request in forge.requests] == ["status", "html", "status", ""]


def test_an_answer_can_be_lost_before_and_after_the_work(forge: FakeForge, github: httpx.Client) -> None:
    issue = forge.add_issue(SHOP, "Wrong total")
    for kind, kept in (("drop_before", 0), ("drop_after", 1)):
        forge.add_fault(kind, method="POST")
        with pytest.raises(httpx.RemoteProtocolError):
            github.post("/issues/1/comments", json={"body": "x"})
        assert len(issue.comments) == kept
    assert [request.status for request in forge.requests] == [0, 201]


def test_answers_can_drip_and_redirect(forge: FakeForge, github: httpx.Client) -> None:
    forge.add_fault("slow", path="/labels", seconds=0.001, skip=1)
    forge.add_fault("redirect", path="/pulls", location="http://127.0.0.1:1/elsewhere")
    assert told(github.get("/labels"), 200) == []
    assert told(github.get("/labels"), 200) == []
    assert [request.fault for request in forge.requests] == ["", "slow"]
    moved = github.get("/pulls")
    assert (moved.status_code, moved.headers["Location"]) == (302, "http://127.0.0.1:1/elsewhere")


def test_faults_can_be_set_over_http(forge: FakeForge, github: httpx.Client) -> None:
    with client(forge.url) as control:
        rules = [{"kind": "status", "status": 503, "path": "/labels"}]
        assert told(control.post("/_fake/faults", json=rules), 200)[0]["times"] == 1
        assert github.get("/labels").status_code == 503
        assert told(control.get("/_fake/faults"), 200) == []
        assert "kind 'melt'" in told(control.post("/_fake/faults", json={"kind": "melt"}), 422)["message"]
        assert (
            "unknown field typo"
            in told(control.post("/_fake/faults", json={"kind": "slow", "typo": 1}), 422)["message"]
        )
        assert [request["status"] for request in told(control.get("/_fake/requests"), 200)] == [503]


def test_a_git_push_can_be_accepted_and_its_answer_lost(
    forge: FakeForge, push: Callable[..., str], token: str, tmp_path: Path
) -> None:
    commit = push("fix/one")
    forge.add_fault("drop_after", method="POST", path="git-receive-pack")
    pushed = git("-C", str(tmp_path / "clone"), "push", forge.git_url(SHOP, token), "HEAD:again", check=False)
    assert pushed.returncode != 0
    assert git("-C", str(forge.repository(SHOP).path), "rev-parse", "again").stdout.strip() == commit


# Webhooks and the program


def test_changes_are_delivered_signed_and_in_order(forge: FakeForge, push: Callable[..., str]) -> None:
    got: list[tuple[str, bytes, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["X-GitHub-Event"], body, self.headers["X-Hub-Signature-256"]))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        forge.deliver_to(f"http://127.0.0.1:{server.server_port}/hooks", "secret")
        forge.add_issue(SHOP, "Wrong total", author="ada")
        forge.add_comment(SHOP, 1, "please", author="ada")
        push("fix/one")
        forge.add_pull(SHOP, "fix/one")
        forge.wait_for_deliveries()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert [event for event, _, _ in got] == ["issues", "issue_comment", "push", "pull_request"]
    for _, body, signature in got:
        assert signature == "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert json.loads(got[1][1])["comment"]["body"] == "please"
    assert [delivery.status for delivery in forge.deliveries] == [202] * 4


def test_the_program_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "a.txt").write_text("a")
    command = [sys.executable, str(ROOT / "deploy/dev/fake_forge.py"), "serve", "--state", str(tmp_path / "state")]
    command += ["--repository", f"acme/shop={tmp_path / 'seed'}", "--die-with-parent"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        assert process.stdout
        facts = json.loads(process.stdout.readline())
        with client(facts["github"], Authorization=f"Bearer {facts['token']}") as api:
            assert told(api.get("/repos/acme/shop"), 200)["permissions"]["push"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_program_names_a_seed_that_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy/dev/fake_forge.py"), "serve", "--state", str(tmp_path)]
    done = subprocess.run(
        [*command, "--repository", "acme/shop=/nowhere"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "/nowhere is not a folder" in done.stderr
