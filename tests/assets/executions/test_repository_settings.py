"""`penstock.toml` can only restrict, and errors say clearly what is wrong in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.executions.repository.settings import RepositorySettingsError, matches, read_settings
from core.work import Budget


def test_no_file_allows_everything_and_keeps_the_budget() -> None:
    settings = read_settings(None)
    assert settings.allows("any/file.py")
    assert settings.narrowed(Budget(seconds=30)) == Budget(seconds=30)


def test_every_setting_is_read() -> None:
    settings = read_settings(b'test = "python -m pytest"\nsetup = "make"\npaths = ["src/"]\n[limits]\nseconds = 9\n')
    assert (settings.test, settings.setup, settings.limits.seconds) == ("python -m pytest", ("make",), 9)
    assert settings.allows("src/a/b.py") and not settings.allows("lib/a.py")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"tests = 'x'", "unknown key 'tests' (known: test, setup, paths, derived_tests, limits, environment)"),
        (b"[limits]\nminutes = 1", "unknown key 'limits.minutes'"),
        (b"paths = ['../other']", "leads out of the repository"),
        (b"paths = ['/etc']", "leads out of the repository"),
        (b"test = 5", "test:"),
        (b"derived_tests = 'always'", "derived_tests: Input should be 'draft' or 'pass'"),
        (b"[limits]\nseconds = -1", "limits.seconds"),
        (b"[environment]\nextras = 'test'", "environment.extras: a list of texts"),
        (b"test = ", "not valid TOML"),
        (b"test = '\xff'", "not UTF-8"),
        (b"#" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_a_wrong_file_is_refused_by_name(content: bytes, said: str) -> None:
    with pytest.raises(RepositorySettingsError) as caught:
        read_settings(content)
    assert said in str(caught.value) and "penstock.toml" in str(caught.value)


@given(st.floats(1, 1e6), st.integers(1, 10**6), st.floats(1, 1e6), st.integers(1, 10**6))
def test_limits_never_widen_the_budget(seconds: float, candidates: int, wanted: float, count: int) -> None:
    settings = read_settings(f"[limits]\nseconds = {wanted}\ncandidates = {count}\n".encode())
    narrowed = settings.narrowed(Budget(seconds=seconds, candidates=candidates))
    assert narrowed.seconds <= seconds and narrowed.candidates <= candidates


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("src/a.py", "src", True), ("src/a/b.py", "src/*.py", False), ("src/a/b.py", "src/**/*.py", True),
        ("src/b.py", "src/**/*.py", True),
        ("srcs/a.py", "src", False), ("a.py", "*.py", True), ("b/a.py", "*.py", False), ("b/a.py", "**/*.py", True),
        ("a.py", "[ab].py", True),
    ],
)  # fmt: skip
def test_patterns_match_as_expected(path: str, pattern: str, expected: bool) -> None:
    assert matches(path, pattern) is expected
