"""What the asset `environment` shows of an attempt."""

from pathlib import Path

from assets.executions.environment_assets import EnvironmentSteps, environment_event
from core.work import Packages
from sandbox.environments.store import Store

KEY = "k" * 32


def made(folder: Path) -> Store:
    store = Store(folder, 1 << 30)
    with store.making(KEY, 10) as into:
        assert isinstance(into, Path)
        (into / "log.txt").write_text("# go mod download\nfetched | three modules")
        store.publish(KEY, into, {"notes": ["Left out: one."], "seconds": {"fetch": 1.5}})
    return store


def test_it_shows_what_was_made_with_its_log(tmp_path: Path) -> None:
    packages = Packages(language="Go 1.22", source="go.mod", projects=("api",), key=KEY, seconds=1.5)
    noted = EnvironmentSteps()
    noted.note("environment", {"step": "fetching Go packages"})
    noted.note("verify", {"step": "something else"})
    event = environment_event("demo", packages, noted, made(tmp_path))
    shown = {name: value.value for name, value in event.metadata.items()}
    assert event.partition == "demo"
    assert (shown["runs_with"], shown["declared_in"], shown["projects"]) == ("Go 1.22", "go.mod", "api")
    assert "three modules" in shown["log"]
    assert "Left out: one." in shown["notes"]
    assert "fetching Go packages" in shown["steps"]
    assert "something else" not in shown["steps"]
    assert shown["making_seconds"] == {"fetch": 1.5}
    assert "refused" not in shown


def test_it_says_why_one_could_not_be_made(tmp_path: Path) -> None:
    noted = EnvironmentSteps()
    noted.note("environment", {"refused": "The tests need Go 1.99 (go.mod): install it."})
    event = environment_event("demo", None, noted, Store(tmp_path, 1 << 30))
    assert "Go 1.99" in event.metadata["refused"].value


def test_versions_of_python_packages_are_listed(tmp_path: Path) -> None:
    packages = Packages(python="3.11.7", source="pyproject.toml", versions=("attrs==23.1", "pytest==8.0"), key="gone")
    shown = environment_event("demo", packages, EnvironmentSteps(), Store(tmp_path, 1 << 30)).metadata
    assert shown["runs_with"].value == "Python 3.11.7"
    assert shown["packages"].value == 2
    assert "attrs==23.1" in shown["versions"].value


def test_nothing_is_shown_where_the_packages_are_those_of_penstock(tmp_path: Path) -> None:
    assert environment_event("demo", None, EnvironmentSteps(), Store(tmp_path, 1 << 30)) is None
