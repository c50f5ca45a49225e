"""The learning of weights and words in `make bench-retrieval`."""

import numpy as np

from assets.context.ranking.weights import WEIGHTS
from assets.evals.sets.localisation import LocalisationCase
from tests.bench.retrieval import FIXED, Case, learn, request_words


def cases_where_only(signal: str, count: int = 40) -> list[Case]:
    """Two files per case; `signal` favours the right one, `names` either of them at random."""
    rng = np.random.default_rng(0)
    columns = list(WEIGHTS)
    found = []
    for number in range(count):
        values = np.zeros((2, len(columns)))
        right = int(rng.integers(2))
        values[right, columns.index(signal)] = rng.uniform(0.5, 1.0)
        values[:, columns.index("names")] = rng.uniform(0.0, 1.0, 2)
        case = LocalisationCase(str(number), f"p{number % 2}", "1", "q", frozenset({f"f{right}"}))
        found.append(Case(case, ["f0", "f1"], values, np.arange(2) == right, frozenset()))
    return found


def test_an_informative_signal_gets_the_weight_and_noise_little() -> None:
    learned = learn(cases_where_only("title"))
    assert learned["title"] > 5 * learned["names"]
    assert min(learned.values()) >= 0
    assert {name: learned[name] for name in FIXED} == {name: WEIGHTS[name] for name in FIXED}


def test_words_of_many_packages_requests_count_less_and_words_of_one_package_do_not() -> None:
    queries = [("fix the parser" if n % 2 else "fix colours", f"p{n % 5}") for n in range(40)]
    queries += [("tournament draw", "p0")] * 10
    words = request_words([LocalisationCase(str(n), p, "1", q, frozenset({"f"})) for n, (q, p) in enumerate(queries)])
    assert words["fix"] < words["pars" if "pars" in words else "parser"] < 1
    assert "tournament" not in words
