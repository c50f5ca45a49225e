"""Words and sentences."""


def shorten(text: str, width: int, ending: str = "…") -> str:
    """A text of at most `width` characters; if something is left out, it ends with `ending`.

    >>> shorten("a long story", 7)
    'a long…'
    """
    if len(text) <= width:
        return text
    return text[: max(0, width - len(ending))] + ending[:width]


def plural(count: int, one: str, many: str | None = None) -> str:
    """
    >>> plural(1, "apple"), plural(3, "apple"), plural(2, "child", "children")
    ('1 apple', '3 apples', '2 children')
    """
    word = one if abs(count) == 1 else many or one + "s"
    return f"{count} {word}"


def ordinal(number: int) -> str:
    """
    >>> [ordinal(n) for n in (1, 2, 3, 4, 21)]
    ['1st', '2nd', '3rd', '4th', '21st']
    """
    if 10 < number % 100 < 14:
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


def title(text: str, small: tuple[str, ...] = ("a", "and", "of", "the")) -> str:
    """Capital letters for every word but small ones; the first word always has one."""
    words = text.split()
    return " ".join(
        word if at and word in small else word[:1].upper() + word[1:] for at, word in enumerate(words)
    )
