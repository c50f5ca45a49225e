"""Version ranges of npm (https://github.com/npm/node-semver#ranges), as far as `engines` and `.nvmrc` use them."""

import re
from collections.abc import Iterator

Version = tuple[int, int, int]
_MOST = 10**9
_PART = re.compile(r"(>=|<=|>|<|=|\^|~>?)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:[-+][\w.+-]*)?")
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")


def version_of(text: str) -> Version | None:
    """The three numbers of a version such as `v20.11.0`, with 0 for those that are left out; None when it is none."""
    found = re.match(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?![\w.])", text.strip())
    return (int(found[1]), int(found[2] or 0), int(found[3] or 0)) if found else None


def satisfies(version: Version, wanted: str) -> bool | None:
    """Whether a version is in a range; None when the range cannot be read."""
    try:
        return any(all(low <= version < high for low, high in _bounds(part)) for part in wanted[:500].split("||"))
    except ValueError:
        return None


def _bounds(text: str) -> Iterator[tuple[Version, Version]]:
    """The intervals, closed below and open above, that a version must be in."""
    text = text.strip()
    if hyphen := _HYPHEN.fullmatch(text):
        yield from _bounds(f">={hyphen[1]}")
        yield from _bounds(f"<={hyphen[2]}")
        return
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            raise ValueError(text)
        yield _interval(found[1] or "", [part for part in found.group(2, 3, 4) if part and part not in "xX*"])
        at = found.end()
        while at < len(text) and text[at] in " ,\t":
            at += 1


def _interval(operator: str, parts: list[str]) -> tuple[Version, Version]:
    numbers = [min(int(part), _MOST - 1) for part in parts]
    first, end = (0, 0, 0), (_MOST, 0, 0)
    if not numbers:
        return first, end
    low: Version = (*numbers, 0, 0)[:3]  # type: ignore[assignment]
    above = _raised(numbers, len(numbers) - 1)
    """The first version after all that begin with these numbers."""
    if operator == ">=":
        return low, end
    if operator == ">":
        return above, end
    if operator == "<":
        return first, low
    if operator == "<=":
        return first, above
    if operator == "^":
        significant = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
        return low, _raised(numbers, significant)
    if operator.startswith("~"):
        return low, _raised(numbers, min(1, len(numbers) - 1))
    return low, above


def _raised(numbers: list[int], position: int) -> Version:
    raised = [*numbers[:position], numbers[position] + 1, 0, 0]
    return raised[0], raised[1], raised[2]
