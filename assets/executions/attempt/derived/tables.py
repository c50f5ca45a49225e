"""Claims from tables in Markdown with columns such as input, expected and actual. The call is in a column of its own,
or its function is named in the header or in the text before the table."""

import ast
import re

from assets.executions.attempt.derived.claims import Claim, Stated
from assets.executions.attempt.derived.reading import Reading
from assets.executions.attempt.derived.safe_code import is_expression, literal, parsed
from assets.executions.attempt.derived.stated import of_code, value_at

MOST_ROWS = 20
MOST_COLUMNS = 8
_RULE = re.compile(r"\|?\s*:?-{1,}:?\s*(\|\s*:?-{1,}:?\s*){1,20}\|?")
_EXPECTED = re.compile(r"expect|should|desired|correct|want|right", re.IGNORECASE)
_ACTUAL = re.compile(r"actual|current|\bgot\b|\bget\b|observed|wrong|\bnow\b|returns|gives|today", re.IGNORECASE)
_TICKED = re.compile(r"`([^`\n]{1,120})`")


def is_table(text: str) -> bool:
    lines = text.split("\n")
    return any("|" in line and len(line) < 400 and _RULE.fullmatch(line.strip()) for line in lines[1:3])


def claims_of_table(reading: Reading, at: int) -> list[Claim]:
    """The claims of the rows of the table in the paragraph at this position."""
    lines = [line for line in reading.blocks[at].text.split("\n") if "|" in line][: MOST_ROWS + 2]
    header, rows = _cells(lines[0]), [_cells(line) for line in lines[2:]]
    right = next((n for n, name in enumerate(header) if _EXPECTED.search(name)), None)
    wrong = next((n for n, name in enumerate(header) if _ACTUAL.search(name) and n != right), None)
    if right is None:
        return []
    inputs = [n for n in range(min(len(header), MOST_COLUMNS)) if n not in (right, wrong)]
    function = _function(reading, at, header)
    group = reading.group()
    found: list[Claim] = []
    for row in rows:
        if len(row) != len(header):
            continue
        call = _call(reading, [row[n] for n in inputs], function)
        expected = _stated(row[right])
        if call and expected is not None:
            actual = _stated(row[wrong]) if wrong is not None else None
            actual = None if actual == expected else actual
            found.append(Claim("table", call, expected=expected, actual=actual, group=group))
    return [made for claim in found if (made := reading.claim(claim)) is not None]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _plain(cell: str) -> str:
    return cell.strip("`").strip()


def _stated(cell: str) -> Stated | None:
    """What a cell states; code in backticks or a value."""
    if not cell:
        return None
    stated = value_at(cell)
    return stated if stated is not None else of_code(_plain(cell))


def _call(reading: Reading, cells: list[str], function: str) -> str:
    """The call of a row: a cell that is one, else the function with the cells as its arguments; empty without."""
    for cell in cells:
        code = _plain(cell)
        if is_expression(code) and _has_call(code) and reading.mentions_project(code):
            return code
    if not function or not cells:
        return ""
    arguments = [_plain(cell) for cell in cells]
    if len(arguments) > 1:  # a column of remarks is no argument
        arguments = [a for a in arguments if literal(a) is not None or (is_expression(a) and _has_call(a))]
    if not arguments or not all(literal(a) is not None or (is_expression(a) and _has_call(a)) for a in arguments):
        return ""
    return f"{function}({', '.join(arguments)})"


def _has_call(code: str) -> bool:
    tree = parsed(code)
    return tree is not None and any(isinstance(node, ast.Call) for node in ast.walk(tree))


def _function(reading: Reading, at: int, header: list[str]) -> str:
    """The function of the project that the header names, else the last one in backticks in the text before."""
    places = ["\n".join(header)]
    if at and not reading.blocks[at - 1].code:
        places.append(reading.blocks[at - 1].text)
    places.append(reading.blocks[0].text)
    for number, place in enumerate(places):
        names = _TICKED.findall(place) or (re.findall(r"[A-Za-z_][\w.]{1,80}(?=\()", place))
        names += re.findall(r"[A-Za-z_][\w.]{2,80}", place) if number == 0 else []
        for name in reversed(names):
            bare = name.partition("(")[0].strip()
            if re.fullmatch(r"[A-Za-z_][\w.]{0,80}", bare) and reading.mentions_project(bare):
                return str(bare)
    return ""
