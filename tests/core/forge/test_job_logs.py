"""Logs of failed jobs of Actions and Pipelines, which the forge hands out at another address."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.forge.github_answers import failed_part
from core.forge.host import LOG_CHARACTERS, Check
from core.http.handed_on import MOST_READ
from tests.forge_arena import FakeArena

JOBS = {"github": r"/actions/jobs/\d+/logs$", "bitbucket": r"/steps/[^/]+/log$"}


@pytest.fixture(params=["github", "bitbucket"])
def arena(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path, request.param)
    yield made
    unknown, failures = made.forge.unknown, made.forge.failures
    made.stop()
    assert (unknown, failures) == ([], [])


def _failed(arena: FakeArena) -> list[Check]:
    return list(arena.host().checks(arena.base_commit(), "main").failed)


def _asked(arena: FakeArena) -> list[str]:
    return [one.path for one in arena.forge.requests if "/jobs/" in one.path or "/pipelines" in one.path]


def test_the_end_of_the_log_is_read_without_the_token(arena: FakeArena) -> None:
    arena.check("main", "unit", False, job_log=b"collected 2 items\nE  assert 2 == 3\n1 failed\n")
    [check] = _failed(arena)
    assert check.name == "unit"
    assert check.log.endswith("collected 2 items\nE  assert 2 == 3\n1 failed")
    [(method, path, headers)] = arena.forge.storage.requests
    assert (method, path.partition("?")[0]) == ("GET", "/logs/0")
    assert "authorization" not in headers
    assert arena.token not in json.dumps([path, headers])


def test_a_huge_log_is_cut_and_only_its_end_is_asked_for(arena: FakeArena) -> None:
    log = b"".join(b"line %d\n" % n for n in range(400_000)) + b"E  assert 2 == 3\n"
    arena.check("main", "unit", False, job_log=log)
    [check] = _failed(arena)
    assert len(check.log) == LOG_CHARACTERS
    assert check.log.endswith("line 399999\nE  assert 2 == 3")
    first, second = arena.forge.storage.requests
    assert "range" not in first[2]
    assert second[2]["range"] == f"bytes={len(log) - (64 << 10)}-{len(log) - 1}"
    assert len(log) < MOST_READ


@pytest.mark.parametrize("status", [302, 403, 404, 500])
def test_a_log_that_the_storage_does_not_give_is_none(arena: FakeArena, status: int) -> None:
    arena.check("main", "unit", False, "what the check says", job_log=b"never seen")
    arena.forge.storage.status, arena.forge.storage.location = status, f"{arena.forge.url}/elsewhere"
    [check] = _failed(arena)
    assert check.log == "what the check says"
    assert len(arena.forge.storage.requests) == 1, "no second redirect is followed"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/x",
        "https://127.0.0.2:{port}/x",
        "https://[::1]:{port}/x",
        "https://10.0.0.1/x",
        "https://user:secret@127.0.0.1:{port}/x",
        "ftp://127.0.0.1:{port}/x",
        "file:///etc/passwd",
        "https://[oops/x",
        "https://h\u00e4user.invalid:99999/x",
        "",
    ],
)
def test_an_address_that_is_not_safe_is_not_read(arena: FakeArena, location: str) -> None:
    arena.check("main", "unit", False, "what the check says", job_log=b"never seen")
    port = int(arena.forge.storage.url.rpartition(":")[2])
    to = location.format(port=port)
    arena.forge.add_fault("status", path=JOBS[arena.dialect], status=302, headers={"Location": to} if to else {})
    [check] = _failed(arena)
    assert check.log == "what the check says"
    assert arena.forge.storage.requests == []


@pytest.mark.parametrize("fault", ["drop_before", "html", "status"])
def test_a_forge_that_does_not_say_where_the_log_is_has_none(arena: FakeArena, fault: str) -> None:
    arena.check("main", "unit", False, "what the check says", job_log=b"never seen")
    arena.forge.add_fault(fault, path=JOBS[arena.dialect], times=9, **({"status": 403} if fault == "status" else {}))
    [check] = _failed(arena)
    assert "what the check says" in check.log or "Sorry" in check.log
    assert "never seen" not in check.log


def test_checks_of_others_have_no_such_log(arena: FakeArena) -> None:
    arena.check("main", "unit", False, "what the check says")
    [check] = _failed(arena)
    assert check.log == "what the check says"
    assert [path for path in _asked(arena) if "/log" in path] == []


def test_the_logs_of_a_few_checks_are_read(arena: FakeArena) -> None:
    for n in range(7):
        arena.check("main", f"unit {n}", False, job_log=b"log %d" % n)
    found = _failed(arena)
    assert [check.name for check in found] == [f"unit {n}" for n in range(7)]
    assert ["log" in check.log for check in found] == [True] * 5 + [False] * 2


def test_what_a_log_holds_can_be_stored(arena: FakeArena) -> None:
    arena.check("main", "unit", False, job_log=b"a\x00b \xff\xfe \xed\xa0\x80")
    [check] = _failed(arena)
    assert "\x00" not in check.log
    check.log.encode()


def test_a_log_of_actions_ends_with_the_error_and_has_no_times() -> None:
    log = (
        "\ufeff2026-03-01T10:00:00.1234567Z ##[group]Run pytest\n"
        "2026-03-01T10:00:01.1234567Z E  assert 2 == 3\n"
        "2026-03-01T10:00:02.1234567Z ##[error]Process completed with exit code 1.\n"
        "2026-03-01T10:00:03.1234567Z Post job cleanup.\n"
    )
    assert failed_part(log) == "##[group]Run pytest\nE  assert 2 == 3\n##[error]Process completed with exit code 1."
    assert failed_part("no marks\n") == "no marks\n"
    assert failed_part("##[error]the end") == "##[error]the end"
