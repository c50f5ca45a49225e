"""`penstock init`: flags, questions on a real terminal, and settings that are there already."""

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.settings import load_settings
from dagster_project.first_settings import HOOKS, CannotBegin, find_repositories, settings_text, write_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    folder = tmp_path / "repositories"
    for name in ("shop", "Till.git", "notes"):
        (folder / name).mkdir(parents=True)
    for name in ("shop", "Till.git"):
        subprocess.run(["git", "init", "-q", str(folder / name)], check=True, timeout=60)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**kept, "PENSTOCK_HOME": str(tmp_path / "home"), "HOME": str(tmp_path / "me")}


def begin(environment: dict[str, str], *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "init", *arguments],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_flags_write_settings_make_the_secret_and_say_what_to_paste_where(
    environment: dict[str, str], repositories: Path, tmp_path: Path
) -> None:
    flags = ("--repositories", str(repositories), "--repositories", "https://git.example.org/acme/store.git")
    flags += ("--forge", "gitea", "--engine", "hybrid", "--address", "https://penstock.example.org/")
    done = begin(environment, *flags)
    home = tmp_path / "home"
    assert (home / "settings.toml").stat().st_mode & 0o777 == 0o600
    written = tomllib.loads((home / "settings.toml").read_text())
    assert written == {"engine": "hybrid", "allowed_roots": [str(tmp_path / "me"), str(repositories)]}
    secret = home / "secrets" / "gitea-webhook-secret"
    assert f"the text of {secret}" in done.stdout
    assert secret.read_text().strip() not in done.stdout + done.stderr
    assert "https://penstock.example.org/webhooks/gitea\n" in done.stdout
    assert "application/json" in done.stdout and "Issue Comment" in done.stdout
    for step in (
        f"penstock index add shop {repositories / 'shop'} --repository OWNER/NAME",
        f"penstock index add till {repositories / 'Till.git'} --repository OWNER/NAME",
        "penstock index add store https://git.example.org/acme/store.git --repository acme/store --forge gitea",
        "name a chat model, without which the engine hybrid cannot work",
        "PENSTOCK_GITEA_TOKEN",
    ):
        assert step in done.stdout, step
    assert "(unchanged)" in begin(environment, *flags).stdout, "running it again changes nothing"
    assert secret.read_text().strip() not in done.stdout


def test_settings_that_are_there_are_replaced_only_when_asked(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "home" / "settings.toml"
    file.parent.mkdir()
    file.write_text("slots = 4\n")
    said = begin(environment, "--yes", code=1).stderr
    assert "is there already" in said and "--overwrite" in said
    assert file.read_text() == "slots = 4\n"
    begin(environment, "--yes", "--overwrite")
    assert tomllib.loads(file.read_text()) == {"engine": "search"}
    assert (file.parent / "settings.toml.before").read_text() == "slots = 4\n"
    assert {one.name for one in file.parent.iterdir()} == {"settings.toml", "settings.toml.before", "secrets"}


def test_where_nobody_can_be_asked_it_says_which_flags_are_missing(environment: dict[str, str], tmp_path: Path) -> None:
    said = begin(environment, "--forge", "github", code=1).stderr
    assert "give --repositories and --engine, or --yes" in said
    for wrong in (["--forge", "svn"], ["--engine", "magic"], ["--address", "http://far.example.org"]):
        begin(environment, "--yes", *wrong, code=2)
    token = "s3cr3t"
    refused = begin(environment, "--yes", "--repositories", f"https://me:{token}@github.com/acme/shop", code=2)
    assert "leave the credential out" in " ".join(refused.stderr.replace("│", " ").split())
    assert token not in refused.stdout + refused.stderr
    assert not (tmp_path / "home" / "settings.toml").exists()


def test_a_secret_of_the_environment_is_named_by_its_variable(environment: dict[str, str]) -> None:
    secret = "from-a-vault-0123456789"
    done = begin({**environment, "PENSTOCK_GITHUB_WEBHOOK_SECRET": secret}, "--yes", "--forge", "github", "--json")
    told = json.loads(done.stdout)
    assert told["webhook"]["Secret"] == "the one of environment PENSTOCK_GITHUB_WEBHOOK_SECRET"
    assert told["webhook"]["Payload URL"] == "https://YOUR-HOST/webhooks/github"
    assert secret not in done.stdout + done.stderr


def test_a_person_is_asked_three_questions_and_again_after_a_wrong_answer(
    environment: dict[str, str], repositories: Path, tmp_path: Path
) -> None:
    near, far = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "init"],
        cwd=ROOT, env={**environment, "NO_COLOR": "1"}, stdin=far, stdout=far, stderr=far,
    )  # fmt: skip
    os.close(far)
    said = b""
    answers = [b"repositories [", b"repositories [", b"forge [github]", b"forge [github]", b"engine [search]"]
    given = ["/nowhere/at/all", str(repositories), "svn", "", "auto"]
    for question, answer in zip(answers, given, strict=True):
        said = _until(near, said, question)
        os.write(near, answer.encode() + b"\n")
    shown = _until(near, said, b"penstock doctor").decode()
    os.close(near)
    assert process.wait(timeout=60) == 0, shown
    assert tomllib.loads((tmp_path / "home" / "settings.toml").read_text())["engine"] == "auto"


def _until(terminal: int, said: bytes, mark: bytes) -> bytes:
    """What is shown after `said`, as soon as it holds `mark`."""
    shown = b""
    while mark not in shown:
        part = os.read(terminal, 65_536)
        assert part, shown
        shown += part
    return shown


def test_addresses_give_names_and_the_forge(tmp_path: Path) -> None:
    found = find_repositories(["https://github.com/acme/Web.Shop.git", "git@github.com:other/web.shop.git"])
    assert found.sources == {
        "web.shop": "https://github.com/acme/Web.Shop.git", "web.shop-2": "git@github.com:other/web.shop.git",
    }  # fmt: skip
    assert found.forge == "github"
    assert find_repositories(["https://github.com/a/b", "https://gitlab.com/a/b"]).forge is None
    for wrong in ("ftp://host/x", "http://far.example.org/x", str(tmp_path), str(tmp_path / "no")):
        with pytest.raises(CannotBegin):
            find_repositories([wrong])


@example(["a"], "\x7f")
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1)), st.text(max_size=20))
def test_whatever_a_folder_is_called_the_settings_can_be_read(folders: list[str], model: str) -> None:
    roots = [Path("/") / name for name in folders]
    read: dict[str, Any] = tomllib.loads(settings_text("model", roots, "github", model or None))
    assert read.get("allowed_roots", []) == [str(root) for root in roots]
    assert read.get("chat_model", "") == model


def test_settings_are_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_settings(file, "slots = 4\n", overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_every_hook_leads_to_a_webhook_and_settings_begin_with_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gateway.gate import OPEN_PATHS

    assert {f"/webhooks/{name}" for name in HOOKS} <= OPEN_PATHS
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    for engine in ("search", "model", "hybrid", "auto"):
        (tmp_path / "settings.toml").write_text(settings_text(engine, [tmp_path], "gitlab", None))
        assert load_settings().engine == engine


def test_an_empty_answer_to_where_repositories_are_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    done = begin(environment, "--repositories", "", "--yes", code=2)
    assert "is empty" in done.stderr
    assert not (tmp_path / "home" / "settings.toml").exists()
