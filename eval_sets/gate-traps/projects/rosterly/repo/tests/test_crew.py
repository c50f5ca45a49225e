import pytest

from rosterly.crew import Person, assign, candidates


@pytest.fixture
def crew():
    return [Person("Ida", frozenset({"crane"}), [(0, 8)]), Person("Jon"), Person("Kim", frozenset({"crane"}))]


def test_rest(crew):
    assert not crew[0].free((16, 24))
    assert crew[0].free((19, 24))


def test_worked(crew):
    assert crew[0].worked((6, 30)) == 2


def test_candidates(crew):
    assert [one.name for one in candidates(crew, (40, 48))] == ["Jon", "Kim", "Ida"]


def test_skill(crew):
    assert [one.name for one in candidates(crew, (40, 48), "crane")] == ["Kim", "Ida"]


def test_assign(crew):
    assert assign(crew, [(10, 18), (12, 20), (14, 20)]) == ["Jon", "Kim", None]
