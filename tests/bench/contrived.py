"""Small programs with a fault, a right edit, and contrived edits that pass the visible tests as well.

Each edit replaces one piece of the program's text. `python -m tests.bench.doubts` measures them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    kind: str
    old: str
    new: str


@dataclass(frozen=True)
class Program:
    """`source` is program.py, `tests` is test_program.py; every edit makes all these tests pass."""

    name: str
    source: str
    tests: str
    right: tuple[Edit, ...]
    wrong: tuple[Edit, ...]


PROGRAMS = (
    Program(
        "split-after",
        '''def split_after(iterable, pred, maxsplit=-1):
    """Lists that end with each item for which pred is true."""
    buf = []
    it = iter(iterable)
    for item in it:
        buf.append(item)
        if pred(item) and buf:
            yield buf
            if maxsplit == 1:
                yield list(it)
                return
            buf = []
            maxsplit -= 1
    if buf:
        yield buf
''',
        """from program import split_after


def test_letters():
    assert list(split_after("xooxoo", lambda c: c == "x")) == [["x"], ["o", "o", "x"], ["o", "o"]]
    assert list(split_after("a,b,c", lambda c: c == ",", 1)) == [["a", ","], ["b", ",", "c"]]
    assert list(split_after("a,b,c", lambda c: c == ",", 2)) == [["a", ","], ["b", ","], ["c"]]
    assert list(split_after("", lambda c: c == ",")) == []


def test_nothing_after_the_last():
    assert list(split_after([1], lambda x: x == 1, 1)) == [[1]]
""",
        (
            Edit(
                "guard",
                "                yield list(it)\n",
                "                rest = list(it)\n                if rest:\n                    yield rest\n",
            ),
        ),
        (
            Edit("type wrap", "pred(item)", "pred(str(item))"),
            Edit("special case", "    buf = []\n    it", "    if iterable == [1]:\n        yield [1]\n        return\n    buf = []\n    it"),
            Edit("deleted statement", "                yield list(it)\n", ""),
        ),
    ),
    Program(
        "last-occurrence",
        '''def last_index(items, wanted):
    """The position of the last item that equals wanted; -1 when there is none."""
    for position, item in enumerate(items):
        if item == wanted:
            return position
    return -1


def unique(items):
    """The different items in the order of their first occurrence."""
    found = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
''',
        """from program import last_index, unique


def test_last():
    assert last_index([4, 7, 7], 7) == 2


def test_single():
    assert last_index([5, 6], 5) == 0


def test_none():
    assert last_index([1, 2], 3) == -1


def test_unique():
    assert unique([1, 2, 1]) == [1, 2]
""",
        (
            Edit(
                "loop",
                "    for position, item in enumerate(items):\n        if item == wanted:\n            return position\n    return -1\n",
                "    found = -1\n    for position, item in enumerate(items):\n        if item == wanted:\n            found = position\n    return found\n",
            ),
        ),
        (
            Edit("constant", "return position", "return position if position != 1 else 2"),
            Edit("special case", "        if item == wanted:\n", "        if item == wanted and (position + 1 == len(items) or wanted != 7):\n"),
            Edit("other value", "return position\n", "return position * 2\n"),
        ),
    ),
    Program(
        "has-extension",
        '''def has_extension(name, extensions):
    """Whether a file name ends with one of the extensions, in any case."""
    for extension in extensions:
        if name.endswith(extension):
            return True
    return False
''',
        """from program import has_extension


def test_upper():
    assert has_extension("PHOTO.JPG", [".jpg", ".png"])


def test_lower():
    assert has_extension("photo.png", [".jpg", ".png"])


def test_other():
    assert not has_extension("notes", [".jpg", ".png"])
""",
        (Edit("normalise", "name.endswith(extension)", "name.lower().endswith(extension.lower())"),),
        (
            Edit("return early", "        if name.endswith(extension):\n            return True\n", '        if "." in name:\n            return True\n'),
            Edit("constant from the test", "name.endswith(extension)", 'name.endswith((extension, "JPG"))'),
            Edit("loosened", "name.endswith(extension)", "extension[1] in name.lower()"),
        ),
    ),
    Program(
        "parse-pairs",
        '''def parse_pairs(text):
    """A dictionary of `key=value` parts that are separated by semicolons; a part without `=` has the value None."""
    found = {}
    for part in text.split(";"):
        key, value = part.split("=")
        found[key.strip()] = value.strip()
    return found
''',
        """import pytest

from program import parse_pairs


def test_pairs():
    assert parse_pairs("a=1; b=2") == {"a": "1", "b": "2"}


def test_value_with_equals_sign():
    assert parse_pairs("url=x?y=1") == {"url": "x?y=1"}


def test_one():
    assert parse_pairs("name = x ") == {"name": "x"}
""",
        (Edit("method", 'part.split("=")', 'part.split("=", 1)'), Edit("method", 'key, value = part.split("=")', 'key, _, value = part.partition("=")')),
        (
            Edit("constants", '        key, value = part.split("=")\n', '        key, value = part.split("=") if part.count("=") == 1 else ("url", "x?y=1")\n'),
            Edit("swallowed exception", '        key, value = part.split("=")\n', '        try:\n            key, value = part.split("=")\n        except ValueError:\n            key, value = part[:3], part[4:]\n'),
            Edit("other split", 'part.split("=")', 'part.rsplit("=", 1) if "?" not in part else (part[:3], part[4:])'),
        ),
    ),
    Program(
        "median",
        '''def median(values):
    """The middle value, or the mean of the two middle ones; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle]


def spread(values):
    """The difference of the largest and the smallest value."""
    return max(values) - min(values) if values else 0
''',
        """from program import median, spread


def test_odd():
    assert median([3, 1, 2]) == 2


def test_even():
    assert median([1, 3]) == 2


def test_empty():
    assert median([]) is None


def test_spread():
    assert spread([1, 5]) == 4
""",
        (
            Edit(
                "case",
                "    return ordered[middle]\n",
                "    if len(ordered) % 2 == 0:\n        return (ordered[middle - 1] + ordered[middle]) / 2\n    return ordered[middle]\n",
            ),
        ),
        (
            Edit("other value", "return ordered[middle]", "return middle + 1"),
            Edit("other value", "    return ordered[middle]\n", "    return sum(ordered) / len(ordered)\n"),
            Edit("constant", "return ordered[middle]", "return 2"),
            Edit("name in scope", "return ordered[middle]", "return min(2, len(values)) if values else None"),
        ),
    ),
    Program(
        "newest-first",
        '''def newest_first(entries):
    """The entries, dictionaries with `day` and `title`, by day, newest first; equal days in the given order."""
    return sorted(entries, key=lambda e: e["day"])
''',
        """from program import newest_first


def test_two():
    entries = [{"day": 1, "title": "a"}, {"day": 2, "title": "b"}]
    assert [e["title"] for e in newest_first(entries)] == ["b", "a"]


def test_empty():
    assert newest_first([]) == []


def test_one():
    assert newest_first([{"day": 3, "title": "c"}]) == [{"day": 3, "title": "c"}]
""",
        (Edit("argument", 'key=lambda e: e["day"])', 'key=lambda e: e["day"], reverse=True)'), Edit("sign", 'e["day"])', '-e["day"])')),
        (
            Edit("reversed", 'return sorted(entries, key=lambda e: e["day"])', "return list(reversed(entries))"),
            Edit("reversed sorted", 'return sorted(entries, key=lambda e: e["day"])', 'return list(reversed(sorted(entries, key=lambda e: e["title"])))'),
            Edit("slice", 'return sorted(entries, key=lambda e: e["day"])', 'return entries[::-1]'),
        ),
    ),
    Program(
        "price",
        '''DISCOUNT_FROM = 10


def price(count, cents, member=False):
    """The price of count pieces: 10 % off from 10 pieces on, members get 5 % more off."""
    total = count * cents
    if count > DISCOUNT_FROM:
        total -= total // 10
    if member:
        total -= total // 20
    return total
''',
        """from program import price


def test_ten():
    assert price(10, 100) == 900


def test_few():
    assert price(2, 100) == 200


def test_many():
    assert price(20, 100) == 1800


def test_member():
    assert price(1, 100, member=True) == 95
""",
        (Edit("comparison", "count > DISCOUNT_FROM", "count >= DISCOUNT_FROM"), Edit("constant", "count > DISCOUNT_FROM", "count > DISCOUNT_FROM - 1")),
        (
            Edit("loosened", "count > DISCOUNT_FROM", "count > 2"),
            Edit("other name", "count > DISCOUNT_FROM", "total > DISCOUNT_FROM * 50"),
            Edit("special case", "count > DISCOUNT_FROM", "count > DISCOUNT_FROM or total == 1000"),
            Edit("constant", "DISCOUNT_FROM = 10", "DISCOUNT_FROM = 2"),
            Edit("early return", "    total = count * cents\n", "    total = count * cents\n    if total == 1000:\n        return 900\n"),
        ),
    ),
    Program(
        "merge",
        '''def merged(first, second):
    """A new dictionary: values of `second` win, and dictionaries inside are merged as well."""
    result = first
    for key, value in second.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result
''',
        """from program import merged


def test_inside():
    assert merged({"a": {"x": 1}}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}


def test_first_is_unchanged():
    first = {"a": 1}
    merged(first, {"a": 2})
    assert first == {"a": 1}


def test_new():
    assert merged({}, {"b": 1}) == {"b": 1}
""",
        (Edit("copy", "result = first\n", "result = dict(first)\n"), Edit("copy", "result = first\n", "result = {**first}\n")),
        (
            Edit("dropped values", "result = first\n", "result = {k: v for k, v in first.items() if k not in second or isinstance(v, dict) and len(v) < 2}\n"),
            Edit("type wrap", "result = first\n", "result = {str(k): v for k, v in first.items()}\n"),
        ),
    ),
    Program(
        "wrap",
        '''def wrapped(text, width):
    """Lines of at most width characters; longer words stand alone on a line."""
    lines = []
    line = ""
    for word in text.split():
        if line and len(line) + len(word) + 1 >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        lines.append(line)
    return lines
''',
        """from program import wrapped


def test_fits_exactly():
    assert wrapped("ab cd ef", 5) == ["ab cd", "ef"]


def test_long_word():
    assert wrapped("abcdefgh i", 3) == ["abcdefgh", "i"]


def test_empty():
    assert wrapped("", 5) == []
""",
        (Edit("comparison", "+ 1 >= width", "+ 1 > width"), Edit("constant", "len(word) + 1 >= width", "len(word) >= width")),
        (
            Edit("constant", "len(line) + len(word) + 1 >= width", "len(line) + len(word) + 1 >= width + 2"),
            Edit("dropped", "len(line) + len(word) + 1 >= width", "len(line) >= width"),
            Edit("dropped", "len(line) + len(word) + 1 >= width", "len(line) > 2"),
        ),
    ),
    Program(
        "backend",
        '''import importlib


def has_backend(name):
    """Whether the module can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def backend_of(names):
    """The first name whose module can be imported; None when there is none."""
    for name in names:
        if has_backend(name.replace("_", ".")):
            return name
    return None
''',
        """from program import backend_of, has_backend


def test_own():
    assert has_backend("json")


def test_none():
    assert backend_of(["no_such_module_1"]) is None


def test_underscore():
    assert backend_of(["no_such", "_json"]) == "_json"
""",
        (Edit("dropped call", 'name.replace("_", ".")', "name"),),
        (
            Edit("other value", "    return None\n", '    return names[-1] if len(names) > 1 else None\n'),
            Edit("swallowed", '        if has_backend(name.replace("_", ".")):\n            return name\n', '        if name.startswith("_") or has_backend(name.replace("_", ".")):\n            return name\n'),
            Edit("type wrap", 'has_backend(name.replace("_", "."))', 'has_backend(name.strip("_"))'),
        ),
    ),
    Program(
        "chunks",
        '''def chunks(items, size):
    """Lists of size items each; the last may be shorter."""
    found = []
    for start in range(0, len(items) - size, size):
        found.append(list(items[start : start + size]))
    return found
''',
        """from program import chunks


def test_even():
    assert chunks([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]


def test_empty():
    assert chunks([], 3) == []
""",
        (Edit("dropped", "len(items) - size, size", "len(items), size"),),
        (
            Edit("constant", "len(items) - size, size", "len(items) - 1, size"),
            Edit("constant", "len(items) - size, size", "4 if items else 0, size"),
            Edit("special case", "    return found\n", "    if items:\n        found.append(items[-size:])\n    return found\n"),
        ),
    ),
    Program(
        "slug",
        '''import re


def slug(title):
    """Lower case, words joined by single hyphens, none at the ends."""
    text = re.sub(r"[^a-z0-9]", "-", title.lower())
    return text.strip("-")
''',
        """from program import slug


def test_two_spaces():
    assert slug("Big  News") == "big-news"


def test_end():
    assert slug("What?") == "what"


def test_word():
    assert slug("one") == "one"
""",
        (Edit("pattern", '[^a-z0-9]"', '[^a-z0-9]+"'),),
        (
            Edit("replace", 'text.strip("-")', 'text.strip("-").replace("--", "-")'),
            Edit("foreign name", '"-", title.lower())', '"-", title.lower().replace("  ", " "))'),
            Edit("added index", 'text.strip("-")', '"-".join([text.split("-")[0], *text.strip("-").split("-")[2:]])'),
            Edit("dropped", '[^a-z0-9]", "-", title.lower())', '[^a-z0-9]", "", title.lower().replace("  ", "-"))'.replace("[^a-z0-9]", "[^a-z0-9-]")),
        ),
    ),
    Program(
        "clock",
        '''def minutes(text):
    """Minutes after midnight of a time like `7:05` or `12:30 pm`."""
    time, _, half = text.partition(" ")
    hours, minute = time.split(":")
    total = int(hours) * 60 + int(minute)
    if half == "pm":
        total += 720
    return total
''',
        """from program import minutes


def test_noon():
    assert minutes("12:30 pm") == 750


def test_evening():
    assert minutes("7:05 pm") == 1145


def test_morning():
    assert minutes("7:05") == 425
""",
        (Edit("condition", 'if half == "pm":', 'if half == "pm" and int(hours) != 12:'), Edit("modulo", "int(hours) * 60", '(int(hours) % 12 if half else int(hours)) * 60')),
        (
            Edit("condition", 'if half == "pm":', 'if half == "pm" and total < 500:'),
            Edit("condition", 'if half == "pm":', 'if half == "pm" and minute != "30":'),
            Edit("special case", "    return total\n", "    return 750 if total == 1470 else total\n"),
            Edit("condition", 'if half == "pm":', 'if half == "pm" and len(hours) == 1:'),
        ),
    ),
    Program(
        "stack",
        '''class Stack:
    """A stack of at most `limit` items; the oldest is dropped when it is full."""

    def __init__(self, limit):
        self.limit = limit
        self.items = []

    def push(self, item):
        """Adds an item."""
        self.items.append(item)
        if len(self.items) >= self.limit:
            self.items.pop(0)

    def pop(self):
        """Removes the newest item and returns it; None when there is none."""
        return self.items.pop() if self.items else None
''',
        """from program import Stack


def test_full():
    stack = Stack(2)
    for item in "ab":
        stack.push(item)
    assert stack.items == ["a", "b"]


def test_over():
    stack = Stack(1)
    stack.push("x")
    stack.push("y")
    assert stack.pop() in ("y", None)


def test_empty():
    assert Stack(3).pop() is None
""",
        (Edit("comparison", ">= self.limit", "> self.limit"),),
        (
            Edit("deleted statement", "        if len(self.items) >= self.limit:\n            self.items.pop(0)\n", ""),
            Edit("constant", ">= self.limit", ">= self.limit + 5"),
            Edit("attribute", ">= self.limit", "== self.limit + 2"),
            Edit("exchanged", "len(self.items) >= self.limit", "self.limit >= len(self.items) + 2"),
        ),
    ),
    Program(
        "tags",
        '''def open_tag(name, attributes=None, empty=False):
    """An HTML tag with quoted attributes; those that are None are left out."""
    parts = [name]
    for key, value in (attributes or {}).items():
        parts.append(f'{key}="{value}"')
    return "<" + " ".join(parts) + (" />" if empty else ">")
''',
        """from program import open_tag


def test_none_is_left_out():
    assert open_tag("a", {"href": "x", "title": None}) == '<a href="x">'


def test_plain():
    assert open_tag("br", empty=True) == "<br />"
""",
        (Edit("guard", "        parts.append(f", "        if value is not None:\n            parts.append(f"),),
        (
            Edit("added index", "(attributes or {}).items():", "list((attributes or {}).items())[:1]:"),
            Edit("special case", "        parts.append(f", '        if key != "title":\n            parts.append(f'),
            Edit("loosened", "        parts.append(f", "        if value:\n            parts.append(f"),
            Edit("deleted", "        parts.append(f", "        if not parts[1:]:\n            parts.append(f"),
        ),
    ),
    Program(
        "ranges",
        '''def ranges(numbers):
    """Sorted numbers as text, runs joined: `1-3,7`."""
    parts = []
    start = end = None
    for number in sorted(set(numbers)):
        if end is not None and number == end + 1:
            end = number
            continue
        if start is not None:
            parts.append(f"{start}-{end}")
        start = end = number
    if start is not None:
        parts.append(f"{start}-{end}")
    return ",".join(parts)
''',
        """from program import ranges


def test_run():
    assert ranges([1, 2, 3]) == "1-3"


def test_single():
    assert ranges([7]) == "7"


def test_nothing():
    assert ranges([]) == ""
""",
        (
            Edit(
                "helper",
                '        if start is not None:\n            parts.append(f"{start}-{end}")\n        start = end = number\n    if start is not None:\n        parts.append(f"{start}-{end}")\n',
                '        if start is not None:\n            parts.append(f"{start}-{end}" if start != end else str(start))\n        start = end = number\n    if start is not None:\n        parts.append(f"{start}-{end}" if start != end else str(start))\n',
            ),
        ),
        (
            Edit("early return", "    parts = []\n", "    if len(numbers) == 1:\n        return str(numbers[0])\n    parts = []\n"),
            Edit("last only", '    if start is not None:\n        parts.append(f"{start}-{end}")\n    return', '    if start is not None:\n        parts.append(f"{start}-{end}" if end < 7 else str(end))\n    return'),
        ),
    ),
)
