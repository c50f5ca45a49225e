"""Strings: literals and f-strings changed as the failed comparison suggests, format specifications, patterns."""

import ast
import itertools
import re
import warnings
from collections.abc import Iterator

from .base import Proposal, Site, on

_LITERAL = re.compile(r"([rRbBfFuU]{0,2})('''|\"\"\"|'|\")(.*)\2", re.DOTALL)


def _parts(text: str) -> tuple[str, str, str] | None:
    """(prefix, quote, raw content) of a single string literal."""
    match = _LITERAL.fullmatch(text)
    if match is None or (len(match[2]) == 1 and match[2] in re.sub(r"\\.", "", match[3])):
        return None
    return match[1], match[2], match[3]


def _is_docstring(site: Site, node: ast.AST) -> bool:
    return isinstance(site.source.parents.get(node), ast.Expr)


@on(ast.Constant, ast.JoinedStr)
def changed_text(site: Site, node: ast.expr) -> Iterator[Proposal]:
    """The difference between actual and expected strings, made in a literal where it fits."""
    if isinstance(node, ast.Constant) and not isinstance(node.value, str):
        return
    if _is_docstring(site, node) or isinstance(site.source.parents.get(node), ast.JoinedStr | ast.FormattedValue):
        return
    literal = _parts(site.code(node))
    if literal is None:
        return
    prefix, quote, raw = literal
    seen = {raw}
    for old, new, before, after in site.symptoms.string_changes[:12]:
        for text, weight in _rewrites(raw, old, _escaped(new, quote, prefix), before, after):
            if text not in seen and text.count("{") == text.count("}"):
                seen.add(text)
                yield site.replace(node, f"{prefix}{quote}{text}{quote}", "string:changed", weight if raw else 0.2)


def _escaped(text: str, quote: str, prefix: str) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    if "f" in prefix.lower():
        text = text.replace("{", "{{").replace("}", "}}")
    return text.replace(quote[0], "\\" + quote[0])


def _rewrites(raw: str, old: str, new: str, before: str, after: str) -> Iterator[tuple[str, float]]:
    if old:
        at = raw.find(old)
        while at >= 0:
            context = (raw[:at][-1:] == before[-1:]) + (raw[at + len(old) :][:1] == after[:1])
            whole = old == raw
            weight = 0.5 + 0.15 * context if not whole else 0.45
            yield raw[:at] + new + raw[at + len(old) :], weight if len(old) > 1 or context or whole else 0.35
            at = raw.find(old, at + 1)
        return
    for at in range(len(raw) + 1):
        left, right = raw[:at], raw[at:]
        fits_left = bool(left) and bool(before) and left[-1] == before[-1]
        fits_right = bool(right) and bool(after) and right[0] == after[0]
        at_left, at_right = not left or left.endswith("}"), not right or right.startswith("{")
        if (fits_left or at_left) and (fits_right or at_right) and (fits_left or fits_right or not raw):
            yield left + new + right, 0.6 if fits_left and fits_right else 0.45


@on(ast.Constant)
def other_text(site: Site, node: ast.Constant) -> Iterator[Proposal]:
    """Another string that the file, the failing tests or the issue use; changes of case."""
    if not isinstance(node.value, str) or _is_docstring(site, node):
        return
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.JoinedStr):
        return
    literal = _parts(site.code(node))
    if literal is None:
        return
    prefix, quote, raw = literal
    seen = {node.value}
    key = isinstance(parent, ast.Subscript) or (isinstance(parent, ast.Call) and node in parent.args[:1])
    for value in site.symptoms.literals[:40]:
        if isinstance(value, str) and value not in seen and "\n" not in value and len(value) < 60:
            seen.add(value)
            alike = _alike(node.value, value)
            in_issue = value in site.symptoms.issue
            weight = (0.12 + 0.45 * alike) * (1.2 if in_issue else 0.8) * (1.2 if key else 1.0)
            yield site.replace(node, f"{quote}{_escaped(value, quote, prefix)}{quote}", "string:borrowed", weight)
    for constant in site.index.constants.get(site.source.path, [])[:120]:
        value = constant.value
        if isinstance(value, str) and value not in seen and "\n" not in value and len(value) < 40:
            seen.add(value)
            alike = _alike(node.value, value)
            yield site.replace(
                node, f"{quote}{_escaped(value, quote, prefix)}{quote}", "string:borrowed", 0.08 + 0.3 * alike
            )
    for text in (raw.lower(), raw.upper(), raw.capitalize(), raw.strip(), raw + " ", " " + raw, raw + "s",
        raw.rstrip("s"), raw + "\\n",
                 raw.replace("_", "-"), raw.replace("-", "_"), raw.replace(" ", ""),
                     raw.replace(",", ", ")):  # fmt: skip
        if text != raw and text not in seen:
            seen.add(text)
            yield site.replace(node, f"{prefix}{quote}{text}{quote}", "string:case", 0.12)
    if raw:
        yield site.replace(node, f"{quote}{quote}", "string:empty", 0.12)
    else:
        for text in (" ", ", ", "\\n", "-", "_", ","):
            yield site.replace(node, f"{quote}{text}{quote}", "string:separator", 0.2)
    if len(raw) <= 2:
        for text in (" ", ", ", ",", "\\n", "-", "_", ".", ":", ";", "/", "|", "=", "&", "\\t"):
            if text != raw:
                yield site.replace(node, f"{quote}{text}{quote}", "string:separator", 0.12)


def _alike(one: str, other: str) -> float:
    a, b = one.lower(), other.lower()
    if a == b or a.strip() == b.strip():
        return 1.0
    if a.replace("_", "").replace("-", "") == b.replace("_", "").replace("-", ""):
        return 0.95
    if not a or not b:
        return 0.2
    shared = len({a[i : i + 2] for i in range(len(a) - 1)} & {b[i : i + 2] for i in range(len(b) - 1)})
    return min(1.0, 2 * shared / max(1, len(a) + len(b) - 2))


_SPEC = re.compile(r"\{([^{}:!]*)(![rsa])?(?::([^{}]*))?\}")
_SPECS = (
    ".2f",
    ".1f",
    ".3f",
    ".0f",
    ",",
    ",.2f",
    "02d",
    "03d",
    "d",
    "02",
    ".1%",
    ".2%",
    ".0%",
    ">10",
    "<10",
    "x",
    "02x",
    "e",
    "g",
)


@on(ast.JoinedStr)
def format_specification(site: Site, node: ast.JoinedStr) -> Iterator[Proposal]:
    text = site.code(node)
    start = site.source.span(node)[0]
    for match in _SPEC.finditer(text):
        if not match[1].strip():
            continue
        spec = match[3]
        head = match[1] + (match[2] or "")
        if spec is None:
            for other in _SPECS:
                yield site.span(start + match.start(), start + match.end(), f"{{{head}:{other}}}", "format:spec", 0.1)
            if match[2] is None:
                yield site.span(start + match.start(), start + match.end(), f"{{{head}!r}}", "format:conversion", 0.2)
            else:
                yield site.span(start + match.start(), start + match.end(), f"{{{match[1]}}}", "format:conversion", 0.3)
        else:
            yield site.span(start + match.start(), start + match.end(), f"{{{head}}}", "format:spec", 0.25)
            for other in _variants(spec):
                yield site.span(start + match.start(), start + match.end(), f"{{{head}:{other}}}", "format:spec", 0.4)
            for other in _SPECS:
                if other != spec:
                    yield site.span(
                        start + match.start(), start + match.end(), f"{{{head}:{other}}}", "format:spec", 0.15
                    )
        for name in site.visible(node)[:8]:
            if name != match[1]:
                tail = f":{spec}" if spec is not None else ""
                yield site.span(
                    start + match.start(),
                    start + match.end(),
                    f"{{{name}{match[2] or ''}{tail}}}",
                    "name:variable",
                    0.2,
                )
        if site.self_name:
            for field in site.fields[:12]:
                tail = f":{spec}" if spec is not None else ""
                yield site.span(
                    start + match.start(), start + match.end(), f"{{{site.self_name}.{field}{tail}}}", "name:field", 0.1
                )
    if not text.lower().startswith(("f", "rf", "fr")):
        return


def _variants(spec: str) -> list[str]:
    found = []
    match = re.fullmatch(r"(.?[<>^=])?([+ -]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)", spec)
    if match is None:
        return []
    align, sign, alt, zero, width, comma, digits, kind = (g or "" for g in match.groups())

    def make(
        align: str = align,
        sign: str = sign,
        zero: str = zero,
        width: str = width,
        comma: str = comma,
        digits: str = digits,
        kind: str = kind,
    ) -> str:
        return f"{align}{sign}{alt}{zero}{width}{comma}{'.' + digits if digits else ''}{kind}"

    if digits:
        found += [make(digits=str(int(digits) + 1)), make(digits=str(max(0, int(digits) - 1))), make(digits="2")]
    if width:
        found += [make(width=str(int(width) + 1)), make(width=str(max(1, int(width) - 1)))]
        found += [make(zero="" if zero else "0")]
        for other in "<>^":
            found.append(make(align=other))
    found += [make(comma="" if comma else ","), make(sign="" if sign else "+")]
    for other in ("f", "%", "d", "x", "X", "g", "e"):
        found.append(make(kind=other))
    return [spec_text for spec_text in dict.fromkeys(found) if spec_text and spec_text != spec]


@on(ast.Constant)
def make_formatted(site: Site, node: ast.Constant) -> Iterator[Proposal]:
    """A plain string with `{name}` in it that lacks its `f`."""
    if isinstance(node.value, str) and re.search(r"\{[A-Za-z_][\w.]*", node.value) and not _is_docstring(site, node):
        parent = site.source.parents.get(node)
        if not isinstance(parent, ast.Attribute | ast.JoinedStr):
            text = site.code(node)
            inside = re.search(r"\bf\{", text) is not None  # the `f` is there, within the quotation marks
            yield site.replace(node, f"f{text}", "format:missing", 0.3 if inside else 0.7)
            if inside:
                without = re.sub(r"\bf\{", "{", text)
                yield site.replace(node, f"f{without}", "format:missing", 0.75)


_DATE = (
    ("%d", "%m"),
    ("%m", "%d"),
    ("%H", "%I"),
    ("%I", "%H"),
    ("%y", "%Y"),
    ("%Y", "%y"),
    ("%M", "%m"),
    ("%m", "%M"),
    ("%S", "%s"),
    ("%b", "%B"),
    ("%B", "%b"),
    ("%a", "%A"),
    ("%p", ""),
    ("%j", "%d"),
)


@on(ast.Constant)
def date_format(site: Site, node: ast.Constant) -> Iterator[Proposal]:
    if isinstance(node.value, str) and re.search(r"%[dmyYHIMSbBjpaA]", node.value) and not _is_docstring(site, node):
        text = site.code(node)
        start = site.source.span(node)[0]
        for old, new in _DATE:
            for match in re.finditer(re.escape(old), text):
                yield site.span(start + match.start(), start + match.end(), new, "format:date", 0.4)
        codes = list(re.finditer(r"%[a-zA-Z]", text))
        for one, other in itertools.pairwise(codes):
            middle = text[one.end() : other.start()]
            yield site.span(start + one.start(), start + other.end(), f"{other[0]}{middle}{one[0]}", "format:date", 0.4)


_REGEX_LIKE = re.compile(r"\\[dwsDWSb]|\[[^\[\]]+\][*+?{]|\)[*+?]|\((?:\?|:\?)")
_REGEX_CALLS = frozenset({"compile", "match", "fullmatch", "search", "findall", "finditer", "sub", "subn", "split"})


@on(ast.Constant)
def pattern(site: Site, node: ast.Constant) -> Iterator[Proposal]:
    """A regular expression's anchors, repetitions, classes and escapes."""
    if not isinstance(node.value, str) or _is_docstring(site, node):
        return
    parent = site.source.parents.get(node)
    call = (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Attribute)
        and parent.func.attr in _REGEX_CALLS
        and parent.args[:1] == [node]
    )
    raw_literal = site.code(node)[:1] in "rR" and re.search(r"[\\\[\]^$+*]", node.value)
    if not call and not raw_literal and not (_REGEX_LIKE.search(node.value) and _compiles(node.value)):
        return
    literal = _parts(site.code(node))
    if literal is None:
        # Several adjacent literals: only the two ends of the whole are known.
        ending = re.search(r"(['\"]{1,3})\s*$", site.code(node))
        if ending is not None and not node.value.endswith("$"):
            at = site.source.span(node)[0] + ending.start()
            yield site.span(at, at, "$", "string:pattern", 0.4)
        return
    prefix, quote, raw = literal
    seen = {raw}
    for text, weight in _pattern_variants(raw):
        if text in seen:
            continue
        seen.add(text)
        if not _compiles(text):
            continue
        wanted = prefix if "\\" not in text or "r" in prefix.lower() else "r" + prefix
        yield site.replace(node, f"{wanted}{quote}{text}{quote}", "string:pattern", weight)


def _compiles(pattern: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError):
            return False
    return True


def _pattern_variants(raw: str) -> Iterator[tuple[str, float]]:
    yield (raw[1:], 0.3) if raw.startswith("^") else ("^" + raw, 0.35)
    yield (raw[:-1], 0.3) if raw.endswith("$") else (raw + "$", 0.4)
    if not raw.startswith("^") and not raw.endswith("$"):
        yield "^" + raw + "$", 0.25
        yield rf"\b{raw}\b", 0.25
    for match in re.finditer(r"(?<!\\)[*+?](?![?])", raw):
        at = match.start()
        if at and raw[at - 1] not in "(|":
            for other, weight in (("+", 0.4), ("*", 0.4), ("?", 0.2), ("{1,2}", 0.05)):
                if other != match[0]:
                    yield raw[:at] + other + raw[at + 1 :], weight
            if match[0] in "*+":
                yield raw[: at + 1] + "?" + raw[at + 1 :], 0.4
            yield raw[:at] + raw[at + 1 :], 0.15
    for match in re.finditer(r"[*+]\?", raw):
        yield raw[: match.start() + 1] + raw[match.end() :], 0.4
    for match in re.finditer(r"(?<!\\)\.(?![*+?])", raw):
        yield raw[: match.start()] + r"\." + raw[match.end() :], 0.5
    for match in re.finditer(r"\\[dwsDWS](?![+*?{])|\](?![+*?{])", raw):
        yield raw[: match.end()] + "+" + raw[match.end() :], 0.4
        yield raw[: match.end()] + "*" + raw[match.end() :], 0.25
        yield raw[: match.end()] + "?" + raw[match.end() :], 0.2
    for old, others in (("\\d", ("\\w", "[\\d.]", "-?\\d")), ("\\w", ("[\\w-]", "[\\w.]", "[\\w.-]", "\\S",
        "[A-Za-z]")), ("[a-z]", ("[a-zA-Z]", "[a-z0-9]", "[a-z_]")), ("[A-Z]", ("[A-Za-z]",)),
                        ("[a-zA-Z]", ("[a-zA-Z0-9]", "[a-zA-Z_]", "\\w")), ("[0-9]", ("\\d", "[0-9.]")),
                        ("a-z", ("a-zA-Z", "a-z0-9")), ("A-Z", ("A-Za-z",)), ("0-9", ("0-9.", "0-9a-z")),
                        (" ", ("\\s", "\\s+", "\\s*", " *")), ("\\s", ("\\s*", "[ \\t]"))):  # fmt: skip
        for match in re.finditer(re.escape(old), raw):
            for other in others:
                yield raw[: match.start()] + other + raw[match.end() :], 0.2
    for match in re.finditer(r"\[(\^?)([^\]]*)\]", raw):
        inside = match[2]
        for extra in ("_", "-", ".", "+", "0-9", "A-Z", " ", "'"):
            if extra not in inside:
                yield raw[: match.start()] + f"[{match[1]}{inside}{extra}]" + raw[match.end() :], 0.2
        flipped = "" if match[1] else "^"
        yield raw[: match.start()] + f"[{flipped}{inside}]" + raw[match.end() :], 0.15
    for match in re.finditer(r"\{(\d+)(,?)(\d*)\}", raw):
        low, high = int(match[1]), match[3]
        for text in (
            f"{{{low + 1}{match[2]}{high}}}",
            f"{{{max(0, low - 1)}{match[2]}{high}}}",
            f"{{{low},}}",
            *((f"{{{low},{int(high) + 1}}}", f"{{{low},{max(low, int(high) - 1)}}}") if high else ()),
        ):
            yield raw[: match.start()] + text + raw[match.end() :], 0.3
    groups = list(re.finditer(r"(?<!\\)\((?!\?)", raw))
    for match in groups:
        yield raw[: match.end()] + "?:" + raw[match.end() :], 0.15
    if len(groups) > 1:
        yield re.sub(r"(?<!\\)\((?!\?)", "(?:", raw), 0.2
    for match in re.finditer(r"\)(?![?*+{])", raw):
        yield raw[: match.end()] + "?" + raw[match.end() :], 0.3
    for match in re.finditer(r"(?<!\\)([-/:,@ ])(?![?*+])", raw):
        yield raw[: match.end()] + "?" + raw[match.end() :], 0.12


@on(ast.BinOp)
def concatenation(site: Site, node: ast.BinOp) -> Iterator[Proposal]:
    """A separator missing between two concatenated values."""
    if not isinstance(node.op, ast.Add) or not any(
        isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in ast.walk(node)
    ):
        return
    left, right = site.code(node.left), site.code(node.right)
    for text in (" ", ", ", "\\n", "-", "/", "_", ":"):
        yield site.replace(node, f'{left} + "{text}" + {right}', "string:separator", 0.1)
    for part in (node.left, node.right):
        if not isinstance(part, ast.Constant | ast.JoinedStr | ast.BinOp):
            yield site.replace(part, f"str({site.code(part)})", "wrap:str", 0.5)
