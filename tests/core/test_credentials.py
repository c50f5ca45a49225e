import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.credentials import CredentialsError, ensure_secrets, load_or_make, token_hash
from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings


def test_the_first_start_generates_secrets_that_only_their_owner_can_read(tmp_path: Path, database: Database) -> None:
    settings = Settings(home=tmp_path / "home")
    made = ensure_secrets(settings, database)
    files = sorted(settings.secrets_folder.iterdir())
    services = ("bitbucket", "generic", "gitea", "github", "gitlab", "jira", "linear")
    assert [file.name for file in files] == ["api-token", *(f"{service}-webhook-secret" for service in services)]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert settings.secrets_folder.stat().st_mode & 0o777 == 0o700
    assert made.api_token.startswith("pst_")
    assert made.generic_secrets[0].startswith("whsec_")
    webhooks = (
        *(made.github_secrets, made.generic_secrets, made.gitlab_secrets, made.gitea_secrets),
        *(made.bitbucket_secrets, made.jira_secrets, made.linear_secrets),
    )
    assert len({made.api_token, *(secret for secrets in webhooks for secret in secrets)}) == 8
    assert made.api_token not in repr(made)
    assert ensure_secrets(settings, database) == made
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT token_sha256, name FROM api_tokens").fetchall() == [
            (token_hash(made.api_token), "first start")
        ]


def _load(home: Path, barrier: Any, results: Any) -> None:
    barrier.wait()
    found = load_or_make(Settings(home=home))
    results.put((found.api_token, found.github_secrets, found.generic_secrets))


def test_processes_that_start_simultaneously_agree_on_the_secrets(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(8), context.Queue()
    processes = [context.Process(target=_load, args=(tmp_path / "home", barrier, results)) for _ in range(8)]
    for process in processes:
        process.start()
    found = {results.get(timeout=600) for _ in processes}
    for process in processes:
        process.join(300)
    assert len(found) == 1
    assert not [file for file in (tmp_path / "home" / "secrets").iterdir() if file.name.startswith(".")]


def test_secrets_in_settings_are_used_unchanged_and_none_is_generated(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        github_webhook_secret=SecretStr("new, old"),
        generic_webhook_secret=SecretStr("whsec_c2VjcmV0,whsec_b2xk"),
        gitlab_webhook_secret=SecretStr("token,whsec_b2xk"),
        gitea_webhook_secret=SecretStr("secret"),
        bitbucket_webhook_secret=SecretStr("new,old"),
        jira_webhook_secret=SecretStr("secret"),
        linear_webhook_secret=SecretStr("secret"),
    )
    found = load_or_make(settings)
    assert found.github_secrets == ("new", "old")
    assert found.generic_secrets == ("whsec_c2VjcmV0", "whsec_b2xk")
    assert found.gitlab_secrets == ("token", "whsec_b2xk")
    assert found.bitbucket_secrets == ("new", "old")
    assert [file.name for file in settings.secrets_folder.iterdir()] == ["api-token"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("github_webhook_secret", " , "),
        ("generic_webhook_secret", "whsec_???"),
        ("generic_webhook_secret", "whsec_"),
        ("gitlab_webhook_secret", "token,whsec_???"),
    ],
)
def test_a_setting_that_holds_no_usable_secret_is_named(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(CredentialsError, match=setting):
        load_or_make(Settings(home=tmp_path, **{setting: SecretStr(value)}))  # type: ignore[arg-type]


def _open_to_others(path: Path) -> None:
    path.chmod(0o644)


def _emptied(path: Path) -> None:
    path.write_text("\n")


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("spoil", [_open_to_others, _emptied, _linked])
def test_a_secret_file_that_cannot_be_trusted_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    settings = Settings(home=tmp_path)
    load_or_make(settings)
    path = settings.secrets_folder / "api-token"
    spoil(path)
    with pytest.raises(CredentialsError, match="api-token"):
        load_or_make(settings)


def test_a_folder_that_cannot_hold_secrets_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    with pytest.raises(CredentialsError, match=str(tmp_path / "secrets")):
        load_or_make(Settings(home=tmp_path))
