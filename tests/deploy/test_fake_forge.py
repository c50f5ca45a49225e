"""The fake forge: its git, its one state, the failures that it is told to have, webhooks and the program."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from deploy.fake_forge import FakeForge
from tests.deploy.forge_clients import SHOP, client, git, told

ROOT = Path(__file__).parents[2]


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


def test_an_error_of_the_fake_itself_is_answered_and_kept(
    forge: FakeForge, github: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(forge.state, "repository", lambda name: 1 / 0)
        assert "ZeroDivisionError" in told(github.get(""), 500)["message"]
    assert "division by zero" in forge.failures.pop()


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


def test_a_program_that_keeps_its_state_goes_on_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "a.txt").write_text("a")
    command = [sys.executable, str(ROOT / "deploy/dev/fake_forge.py"), "serve", "--state", str(tmp_path / "state")]
    command += ["--keep", "--repository", f"acme/shop={tmp_path / 'seed'}", "--die-with-parent"]
    bare = tmp_path / "state" / "repositories" / "acme" / "shop.git"

    def commit_to_fix(message: str) -> str:
        who = ["-c", "user.name=Bot", "-c", "user.email=bot@example.org"]
        made = git("-C", str(bare), *who, "commit-tree", "main^{tree}", "-p", "main", "-m", message).stdout.strip()
        git("-C", str(bare), "update-ref", "refs/heads/fix", made)
        return made

    tokens, head = set(), ""
    for life in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        try:
            assert process.stdout
            facts = json.loads(process.stdout.readline())
            tokens.add(facts["token"])
            with client(facts["github"], Authorization=f"Bearer {facts['token']}") as api:
                pulls = told(api.get("/repos/acme/shop/pulls"), 200)
                assert [(pull["number"], pull["head"]["sha"]) for pull in pulls] == ([(1, head)] if life else [])
                if life == 0:
                    head = commit_to_fix("One")
                    told(api.post("/repos/acme/shop/pulls", json={"title": "F", "head": "fix", "base": "main"}), 201)
                comments = told(api.get("/repos/acme/shop/issues/1/comments"), 200)
                assert [comment["body"] for comment in comments] == [f"Life {n}" for n in range(life)]
                told(api.post("/repos/acme/shop/issues/1/comments", json={"body": f"Life {life}"}), 201)
        finally:
            process.kill()
            process.communicate()
        if life == 1:  # a push that reached git and no more
            head = commit_to_fix("Two")
    assert len(tokens) == 1


def test_the_program_names_a_seed_that_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy/dev/fake_forge.py"), "serve", "--state", str(tmp_path)]
    done = subprocess.run(
        [*command, "--repository", "acme/shop=/nowhere"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "/nowhere is not a folder" in done.stderr
