"""What a person sees in the Dagster UI and at the gateway, in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .browser import Browser, find_browser
from .conftest import RunningPlatform, issue, make_repository

pytestmark = [pytest.mark.services, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def browser() -> Browser:
    return find_browser()


def seen(platform: RunningPlatform, browser: Browser, path: str, *, timeout: float = 300) -> Callable[..., None]:
    """A function that waits until the page at `path` shows all of some words, and none of others."""
    last = ""

    def shows(*words: str, not_shown: tuple[str, ...] = ()) -> None:
        def looks() -> bool:
            nonlocal last
            last = browser.text_of(platform.state["dagster"] + path)
            return all(word in last for word in words) and not any(word in last for word in not_shown)

        try:
            platform.wait_for(f"{path} with {words} and without {not_shown}", looks, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{path} shows: {last}") from None

    return shows


def test_sources_and_migrations_are_shown_as_commands_left_them(
    start_platform: Callable[..., RunningPlatform], browser: Browser, tmp_path: Path
) -> None:
    platform = start_platform()
    for name in ("shop", "stall"):
        platform.cli("index", "add", name, str(make_repository(tmp_path / name)))
    shows = seen(platform, browser, "/assets/context_index?view=partitions")
    shows("shop", "stall", "Materialized (2)", "Missing (0)", "Failed (0)")
    platform.cli("index", "remove", "stall", "--yes")
    shows("shop", "Materialized (1)", "Failed (0)", not_shown=("stall",))

    platform.cli("models", "add", "hashing", "--migrate")
    shows = seen(platform, browser, "/assets/model_migration?view=events")
    shows("judged")
    platform.cli("migrate", "cancel")
    shows("cancelled")
    runs = platform.cli("migrate", "status", "--json")
    assert json.loads(runs.stdout)[0]["state"] == "cancelled"


def test_a_run_says_what_it_was_about_and_how_it_ended(
    start_platform: Callable[..., RunningPlatform],
    browser: Browser,
    new_delivery: Callable[[], str],
    tmp_path: Path,
) -> None:
    platform = start_platform()
    platform.cli("index", "add", "shop", str(make_repository(tmp_path / "shop")), "--repository", "acme/shop")
    unclear = issue("acme/shop", 2)
    unclear["issue"] |= {"title": "Please add a dark mode", "body": "My eyes hurt."}
    for payload in (issue("acme/shop", 1), unclear):
        assert platform.deliver(payload, new_delivery()).status_code == 202
    platform.wait_for(
        "the end of both tasks", lambda: sorted(platform.tasks().values()) == ["resolved", "unresolved"], 600
    )
    seen(platform, browser, "/runs")(
        "issue: #1 Total is wrong for several items (1)",
        "outcome: resolved published",
        "issue: #2 Please add a dark mode",
        "outcome: unresolved report",
    )
    seen(platform, browser, "/assets/result?view=checks")("resolved")
    front = browser.text_of(platform.state["gateway"])
    assert "Penstock" in front
    assert "shop" not in front, "the gateway's page is for anybody"
