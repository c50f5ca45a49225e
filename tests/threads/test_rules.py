"""The rules that need no server: merges, polling, retries, throttling, batch sizes, summaries, affinity."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from threads import affinity, merge
from threads.client import monitor, timing
from threads.ids import uuid7
from threads.summary import CHARACTERS, Said, summarise

texts = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=8).map("".join)


@given(base=texts, mine=texts, theirs=texts)
def test_a_merge_has_both_changes_whoever_is_merged_into_whom(base: str, mine: str, theirs: str) -> None:
    assert merge.merge_text(base, mine, base) == mine and merge.merge_text(base, base, theirs) == theirs
    assert merge.merge_text(base, mine, theirs) == merge.merge_text(base, theirs, mine)


@bounded(max_examples=40)
@given(base=texts, mine=texts, theirs=texts)
def test_what_merges_here_git_merges_in_the_same_way(
    base: str, mine: str, theirs: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = merge.merge_text(base, mine, theirs)
    if found is None:
        return
    folder = tmp_path_factory.mktemp("merge")
    for name, text in (("base", base), ("mine", mine), ("theirs", theirs)):
        (folder / name).write_text(text)
    git = subprocess.run(
        ["git", "merge-file", "-p", "mine", "base", "theirs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert git.returncode != 0 or sorted(git.stdout) == sorted(found)


def test_edits_of_the_same_or_touching_lines_conflict() -> None:
    assert merge.merge_text("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n") == "A\nb\nC\n"
    assert merge.merge_text("a\nb\n", "A\nb\n", "a\nB\n") is None
    assert merge.merge_text("a\n", "b\n", "c\n") is None
    many = "".join(f"{n}\n" for n in range(3000))
    assert merge.merge_text(many, many.replace("\n", "x\n"), many.replace("\n", "y\n")) is None


def test_a_busy_client_polls_often_and_an_idle_one_seldom() -> None:
    assert timing.poll_interval(1.0, 0.5) == 5.0 and timing.poll_interval(0.0, 0.5) == 60.0
    assert timing.poll_interval(0.9, 0.5) < timing.poll_interval(0.1, 0.5)
    assert [timing.poll_interval(1.0, jitter) for jitter in (0.0, 1.0)] == pytest.approx([4.0, 6.0])
    assert timing.poll_interval(1.0, 0.5, server=30.0) == 30.0
    activity = timing.Activity()
    activity.note(0.0, 1.0)
    assert activity.now(0.0) == 1.0 and activity.now(timing.HALF_LIFE) == 0.5
    assert activity.now(1e6) < 0.01 and activity.now(1e6, queued=100, turn=True) == 1.0


def test_retries_go_on_for_ever_with_full_jitter() -> None:
    assert [timing.retry_after(n, 1.0) for n in (1, 2, 3, 4, 5, 6, 1000)] == [1, 2, 5, 10, 30, 30, 30]
    assert timing.retry_after(5, 0.0) == 0.0


def test_autosave_is_throttled_and_not_starved_by_a_text_that_keeps_growing() -> None:
    throttle = timing.Throttle()
    saved = [at / 10 for at in range(100) if throttle.wait(at / 10) == 0.0]
    assert 9 <= len(saved) <= 11
    assert throttle.wait(-1000.0) == 0.0  # the clock was set back


def test_the_best_batch_keeps_the_fixed_cost_under_a_tenth() -> None:
    watching = monitor.Monitor()
    for size in (1, 10, 50, 5, 20):
        watching.pushed(size, 0.020 + 0.005 * size)
    best = watching.report().best_batch
    assert best == 36 and 0.020 / (0.020 + 0.005 * best) <= 0.1 < 0.020 / (0.020 + 0.005 * (best - 1))
    assert monitor.Monitor().best_batch() == monitor.MOST


def test_a_replica_more_moves_only_what_prefers_it() -> None:
    keys = [f"thread {n}" for n in range(2000)]
    three = {key: affinity.preferred(key, ["a", "b", "c"]) for key in keys}
    four = {key: affinity.preferred(key, ["a", "b", "c", "d"])[0] for key in keys}
    moved = [key for key in keys if three[key][0] != four[key]]
    assert all(four[key] == "d" for key in moved) and 0.2 < len(moved) / len(keys) < 0.3
    assert all(affinity.preferred(key, ["b", "c"]) == [one for one in three[key] if one != "a"] for key in keys)


def test_a_summary_says_what_was_said_first_last_and_most() -> None:
    said = [Said("ann", "user", f"The invoice total is wrong in case {n}. Unrelated word{n}.") for n in range(400)]
    text = summarise([Said("ann", "user", "It began with the tax."), *said, Said("bob", "assistant", "Fixed at last.")])
    assert "It began with the tax." in text and "Fixed at last." in text and "invoice total" in text
    assert len(text) < CHARACTERS + 200


def test_ids_of_version_7_sort_by_time() -> None:
    made = [uuid7() for _ in range(50)]
    assert {one.version for one in made} == {7} and len(set(made)) == 50
    assert [one.int >> 80 for one in made] == sorted(one.int >> 80 for one in made)
