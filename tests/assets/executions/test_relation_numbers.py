"""Numbers in the text of a task, in digits and in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.executions.trial.relation.numbers import MOST_NUMBERS, numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It takes ten seconds instead of six.", {10, 6}),
        ("twenty-five apples, a dozen pears, half a dozen plums", {25, 12, 6}),
        ("a hundred five; two hundred thousand", {105, 200_000}),
        ("two three, four and five", {2, 3, 4, 5}),
        ("It is called twice for the third row", {2, 3}),
        ("1,000 or 1_000 or -3 or 2.50", {1000, -3, 2.5}),
        ("at 7:30, on 2024-03-09 and the 29th", {7, 30, 2024, 3, 9, 29}),
        ("half an hour", {0.5, 30, 1800, 1, 60, 3600}),
        ("a week, one minute", {1, 7, 604_800, 60}),
        ("90% of 2 KiB in 5ms", {90, 0.9, 2, 2048, 5}),
        ("one has to wait for a while, says someone", set()),
        ("version 3.14.1 of v2 at 0x1f, x1", set()),
    ],
)
def test_numbers_are_read(text: str, expected: set[float]) -> None:
    assert numbers(text) == {float(number) for number in expected}


@given(st.integers(-999_999, 999_999))
def test_every_whole_number_is_read_with_and_without_separators(number: int) -> None:
    assert numbers(f"gives {number} here") == numbers(f"gives {number:,} here") == {float(number)}


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert all(isinstance(number, float) for number in numbers(text))


@pytest.mark.parametrize("piece", ["one ", "a ", "1,", "1", "two hundred ", "half a ", "9 days "])
def test_a_long_text_gives_a_bounded_number_of_numbers(piece: str) -> None:
    assert len(numbers(piece * 10_000)) <= MOST_NUMBERS + 8
