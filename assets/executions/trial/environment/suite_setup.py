"""Failures of the suite's own set-up: plugins, options, settings, marks and fixtures that pytest does not know, and a
conftest.py that gives up."""

import re

from assets.executions.repository.installed import normal
from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.environment.case import Case, Found, Rule, misspelt
from assets.executions.trial.raised import Raised

_MARK = re.compile(r"'(\w+)' not found in `markers` configuration option|Unknown pytest\.mark\.(\w+)")
_ARGUMENTS = re.compile(r"unrecognized arguments: ([^\n]+)")
_SETTING = re.compile(r"Unknown config option: ([\w-]+)|unknown configuration value: '([\w-]+)'")
_PLUGINS = re.compile(r"Missing required plugins: ([^\n]+)")
_PLUGIN = re.compile(r"Error importing plugin \"([^\"]+)\"")
_OPTION = re.compile(r"no option named ['\"]?([\w-]+)")
_FIXTURES = {
    "mocker": "pytest-mock", "benchmark": "pytest-benchmark", "httpserver": "pytest-httpserver", "respx_mock": "respx",
    "requests_mock": "requests-mock", "httpx_mock": "pytest-httpx", "freezer": "pytest-freezer", "faker": "faker",
    "snapshot": "syrupy", "event_loop": "pytest-asyncio", "aiohttp_client": "pytest-aiohttp", "db": "pytest-django",
    "django_db_setup": "pytest-django", "client": "pytest-django", "settings": "pytest-django", "qtbot": "pytest-qt",
    "datadir": "pytest-datadir", "file_regression": "pytest-regressions",
    "data_regression": "pytest-regressions", "num_regression": "pytest-regressions", "page": "pytest-playwright",
    "subtests": "pytest-subtests", "fs": "pyfakefs", "socket_disabled": "pytest-socket", "cov": "pytest-cov",
    "worker_id": "pytest-xdist", "mock_aioresponse": "aioresponses", "postgresql": "pytest-postgresql",
    "redisdb": "pytest-redis", "vcr": "pytest-vcr", "anyio_backend": "anyio", "check": "pytest-check",
    "responses": "pytest-responses", "loop": "pytest-aiohttp", "celery_app": "celery", "app": "pytest-flask",
    "selenium": "pytest-selenium", "bdd": "pytest-bdd", "time_machine": "time-machine",
}  # fmt: skip
"""Fixtures by the plugin that is best known for them."""
_BUILT_IN = ("tmp_path", "monkeypatch", "capsys", "request", "caplog", "recwarn")
_GIVES_UP = ("Exit", "UsageError", "RuntimeError", "SystemExit", "EnvironmentError", "Exception", "Failed", "Skipped")


def mark(case: Case, link: Raised) -> Found | None:
    if link.is_a("Failed", "PytestUnknownMarkWarning", "PytestCollectionWarning") and (
        found := _MARK.search(link.message)
    ):
        name = found[1] or found[2]
        where = case.declared.installed.place
        remedy = f"Install the plugin that defines it {where}, or register it under `markers` in pytest's settings."
        return Found("mark", f"the mark `{name}`, which no plugin and no setting defines", remedy)
    return None


def arguments(case: Case, link: Raised) -> Found | None:
    where = case.declared.installed.place
    remedy = f"Install the plugin that defines it {where}, or name a command without it with `--test`."
    if link.is_a("UsageError", "SystemExit") and (found := _ARGUMENTS.search(link.message)):
        name = found[1].split()[0]
        return Found("option", f"pytest's option `{name[:80]}`, which no installed plugin defines", remedy)
    if link.is_a("ValueError") and link.outside and (found := _OPTION.search(link.message)):
        return Found("option", f"pytest's option `{found[1]}`, which nothing defines", remedy)
    return None


def setting(case: Case, link: Raised) -> Found | None:
    found = _SETTING.search(link.message)
    if found is None or not link.outside or not link.is_a("UsageError", "ValueError", "PytestConfigWarning"):
        return None
    remedy = f"Install the plugin that defines it {case.declared.installed.place}, or remove the setting."
    return Found("setting", f"pytest's setting `{found[1] or found[2]}`, which no installed plugin defines", remedy)


def plugin(case: Case, link: Raised) -> Found | None:
    if link.is_a("UsageError") and (found := _PLUGINS.search(link.message)):
        name = re.split(r"[\s,<>=!~\[]", found[1].strip())[0]
        return Found(
            "plugin", f"the pytest plugin `{name}`, which is not installed", case.declared.installed.remedy(name)
        )
    if link.is_a("ImportError", "UsageError", "PluginImportFailure") and (found := _PLUGIN.search(link.message)):
        declared = case.declared
        name = next((r for r in declared.requirements if normal(found[1].split(".")[0]) == r), "")
        if any(path.endswith(found[1].replace(".", "/") + ".py") for path in declared.files):
            return None
        name = name or found[1].split(".")[0].replace("_", "-")
        return Found(
            "plugin", f"the pytest plugin `{found[1]}`, which is not installed", case.declared.installed.remedy(name)
        )
    return None


def fixture(case: Case, link: Raised) -> Found | None:
    """A fixture of a plugin that is not installed: nothing in the repository defines or resembles it."""
    if not link.is_a("FixtureLookupError") or not link.name:
        return None
    declared = case.declared
    usual = _FIXTURES.get(link.name)
    absent = [r for r in declared.requirements if r.startswith("pytest-") and r not in declared.installed.plugins]
    named = [r for r in absent if normal(link.name) in r or r == usual]
    if usual is None and not named:
        return None
    if declared.mentions(f"def {link.name}") or misspelt(link.name, _BUILT_IN):
        return None
    name = (named or (absent if len(absent) == 1 else []) or [usual or ""])[0]
    return Found(
        "fixture",
        f"the fixture `{link.name}` of `{name}`, which is not installed",
        case.declared.installed.remedy(name),
    )


def gives_up(case: Case, link: Raised) -> Found | None:
    """The suite's conftest.py refuses to run here, by its own decision."""
    if case.failure.when not in ("configure", "collect", "setup") or link.inside is None:
        return None
    if not link.inside.path.endswith("conftest.py") or link.type.rpartition(".")[2] not in _GIVES_UP:
        return None
    refuses = link.is_a("Exit", "UsageError", "SystemExit") or case.decided(link)
    first = link.message.strip().split("\n", 1)[0][:200]
    if not refuses or not first:
        return None
    remedy = "Provide that, or name tests that do not need it with `--test`."
    return Found("conftest", f"what {link.inside.path} asks for: {first.rstrip('.')}", remedy)


def script(case: Case, link: Raised) -> Found | None:
    """A script that doctest collects although it holds no example, and that runs when it is imported."""
    if case.failure.when != "collect" or not link.is_a("SystemExit", "ProcessEnded", "Hang", "KeyboardInterrupt"):
        return None
    if is_test_path(case.test) or not case.source or ">>>" in case.source:
        return None
    remedy = f"Leave it out of the test command with `--ignore={case.test}`."
    return Found("script", f"{case.test} to be imported, which runs it as a program instead", remedy)


RULES: tuple[Rule, ...] = (script, mark, arguments, setting, plugin, fixture, gives_up)
