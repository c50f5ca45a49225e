"""Conversions: values wrapped or unwrapped, copied, normalised, awaited where they are used."""

import ast
from collections.abc import Iterator

from .base import BUILTINS, Proposal, Site, called_name, on
from .kinds import LIST, MAPPING, NUMBER, SET, TEXT


@on(ast.Call)
def unwrap(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """`f(x)` where `x` is meant, `x.f()` where `x` is."""
    if len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp):
        weight = (
            0.35
            if called_name(node)
            in ("list", "set", "sorted", "abs", "str", "int", "float", "reversed", "len", "bool", "tuple")
            else 0.2
        )
        yield site.replace(node, site.code(node.args[0]), "wrap:remove", weight)
    stands_alone = isinstance(site.source.parents.get(node), ast.Expr)
    if isinstance(node.func, ast.Attribute) and not stands_alone and len(node.args) <= 1:
        yield site.replace(node, site.code(node.func.value), "wrap:remove", 0.25)


_WRAPPERS: tuple[tuple[str, str, float], ...] = (
    ("str({})", "wrap:str", 0.25), ("int({})", "wrap:int", 0.2), ("list({})", "wrap:list", 0.25),
    ("sorted({})", "sort:wrap", 0.25), ("len({})", "wrap:len", 0.15),
    ("abs({})", "wrap:abs", 0.22), ("float({})", "wrap:float", 0.12), ("set({})", "wrap:set", 0.15),
    ("tuple({})", "wrap:tuple", 0.1), ("reversed({})", "order:reverse", 0.08),
    ("bool({})", "wrap:bool", 0.08), ("sum({})", "wrap:sum", 0.05), ("repr({})", "wrap:str", 0.05),
    ("dict({})", "copy:dict", 0.12), ("max({}, 0)", "wrap:clamp", 0.15), ("max({}, 1)", "wrap:clamp", 0.1),
    ("list(dict.fromkeys({}))", "wrap:set", 0.1),
)  # fmt: skip
_METHODS: tuple[tuple[str, str, float], ...] = (
    (".strip()", "wrap:strip", 0.3), (".lower()", "wrap:lower", 0.3), (".copy()", "copy:call", 0.3),
    (".upper()", "wrap:lower", 0.12), (".rstrip()", "wrap:strip", 0.12), (".lstrip()", "wrap:strip", 0.08),
    (".items()", "wrap:items", 0.12), (".values()", "wrap:items", 0.12), (".keys()", "wrap:items", 0.05),
    (".casefold()", "wrap:lower", 0.08), ("[::-1]", "order:reverse", 0.1), ("[0]", "slice:first", 0.1),
    ("[1]", "slice:first", 0.06), ("[-1]", "slice:first", 0.08), (".split()", "wrap:split", 0.08),
    (".decode()", "wrap:decode", 0.04), (".encode()", "wrap:decode", 0.04), (".title()", "wrap:lower", 0.04),
    (".total_seconds()", "wrap:total", 0.03), (".date()", "wrap:total", 0.03), (" or []", "guard:default", 0.15),
    (" or {}", "guard:default", 0.12), (' or ""', "guard:default", 0.12), (" or 0", "guard:default", 0.12),
)  # fmt: skip
_NO_NUMBER = frozenset({"wrap:strip", "wrap:lower", "wrap:list", "wrap:set", "wrap:tuple", "wrap:items", "wrap:len",
    "sort:wrap",
                        "order:reverse", "slice:first", "copy:call", "copy:dict", "wrap:sum", "wrap:split",
                        "wrap:decode"})  # fmt: skip
_NO_TEXT = frozenset(
    {"wrap:abs", "wrap:clamp", "wrap:items", "copy:call", "copy:dict", "wrap:sum", "wrap:str", "wrap:total"}
)
_NO_CONTAINER = frozenset(
    {"wrap:strip", "wrap:lower", "wrap:abs", "wrap:int", "wrap:float", "wrap:clamp", "wrap:split", "wrap:total"}
)


def _fits(kind: str | None, operator: str) -> float:
    """A factor below 1 for a conversion that makes no sense for a value of this kind."""
    against = (
        _NO_NUMBER
        if kind == NUMBER
        else _NO_TEXT
        if kind == TEXT
        else _NO_CONTAINER
        if kind in (LIST, MAPPING, SET)
        else ()
    )
    return 0.3 if operator in against else 1.0


# A value that is iterated is not a scalar.
_SCALARS = frozenset(
    {"wrap:str", "wrap:int", "wrap:float", "wrap:len", "wrap:abs", "wrap:bool", "wrap:sum", "wrap:clamp"}
)
_OF_SCALARS = frozenset({".strip()", ".lower()", ".upper()", ".title()", ".casefold()", ".total_seconds()", ".date()"})
_DEFAULTED = (ast.Return, ast.Assign, ast.For, ast.comprehension, ast.Call, ast.keyword, ast.AugAssign)
_ITERATING = (
    "sorted",
    "list",
    "tuple",
    "set",
    "sum",
    "min",
    "max",
    "any",
    "all",
    "enumerate",
    "zip",
    "map",
    "filter",
    "reversed",
    "frozenset",
)


@on(ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.BinOp, ast.GeneratorExp, ast.IfExp, ast.JoinedStr)
def wrap(site: Site, node: ast.expr) -> Iterator[Proposal]:
    """A value converted, copied or normalised where it is used."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    parent = site.source.parents.get(node)
    if (
        isinstance(node, ast.Name)
        and (node.id == site.self_name or (node.id in site.globals and node.id not in site.index.constants))
        and (
            node.id == site.self_name
            or node.id in site.index.classes
            or node.id in site.index.functions
            or node.id in BUILTINS
        )
    ):
        return
    if (
        isinstance(parent, ast.Attribute)
        or (isinstance(parent, ast.Call) and parent.func is node)
        or isinstance(parent, ast.Expr | ast.Await)
    ):
        return
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return
    if isinstance(parent, ast.FormattedValue | ast.JoinedStr):
        return
    place = 1.0
    if isinstance(parent, ast.Return | ast.Assign | ast.For | ast.comprehension):
        place = 1.2
    elif isinstance(parent, ast.BinOp | ast.Compare | ast.Subscript | ast.keyword):
        place = 1.0
    elif isinstance(parent, ast.Tuple | ast.List | ast.Dict):
        place = 0.8
    iterated = isinstance(parent, ast.For | ast.comprehension) or (
        isinstance(parent, ast.Call) and node in parent.args and called_name(parent) in _ITERATING
    )
    kind = site.kind(node)
    text = site.code(node)
    inner = text[1:-1] if isinstance(node, ast.GeneratorExp) and text.startswith("(") else text
    for pattern, operator, prior in _WRAPPERS:
        again = isinstance(node, ast.Call) and pattern.startswith(text.split("(", 1)[0] + "(")
        if not again and not (iterated and operator in _SCALARS):
            weight = place * prior * _fits(kind, operator)
            yield site.replace(node, pattern.format(inner), operator, weight)
    for function in _converters(site):
        if not iterated and not text.startswith(f"{function}("):
            yield site.replace(node, f"{function}({inner})", "wrap:own", place * 0.15)
    if isinstance(node, ast.GeneratorExp):
        yield site.replace(node, f"[{inner}]", "wrap:list", 0.4)
        return
    bare = site.bare(node)
    for suffix, operator, prior in _METHODS:
        weight = place * prior * _fits(kind, operator)
        if suffix.startswith(" or "):
            if isinstance(parent, _DEFAULTED):
                made = f"({bare}{suffix})" if isinstance(parent, ast.comprehension) else f"{bare}{suffix}"
                yield site.replace(node, made, operator, weight)
        elif not text.endswith(suffix) and not (iterated and suffix in _OF_SCALARS):
            likely = 0.3 if iterated and operator == "wrap:items" else weight
            yield site.replace(node, f"{bare}{suffix}", operator, likely)
    if (
        isinstance(node, ast.Call)
        and not isinstance(parent, ast.Await)
        and isinstance(site.function, ast.AsyncFunctionDef)
    ):
        weight = 0.5 if called_name(node) in _coroutines(site) else 0.15
        yield site.replace(
            node,
            f"await {text}"
            if not isinstance(parent, ast.Attribute | ast.Subscript | ast.BinOp | ast.Compare)
            else f"(await {text})",
            "await:add",
            weight,
        )


def _converters(site: Site) -> list[str]:
    """Functions and classes that the file calls with one argument: `Decimal`, `Path`, `normalise`."""
    known: dict[str, list[str]] = site.index.__dict__.setdefault("_converters", {})
    if site.source.path not in known:
        counts: dict[str, int] = {}
        for node in site.source.walk(site.source.tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and len(node.args) == 1
                and not node.keywords
            ):
                name = node.func.id
                if name not in BUILTINS and not name.endswith(("Error", "Exception")):
                    counts[name] = counts.get(name, 0) + 1
        for name, functions in site.index.functions.items():
            one = any(len(f.args.args) == 1 and f.args.args[0].arg != "self" for f in functions)
            if one and name in site.globals:
                counts.setdefault(name, 0)
        known[site.source.path] = sorted(counts, key=lambda n: -counts[n])[:8]
    return [name for name in known[site.source.path] if site.function is None or name != site.function.name]


def _coroutines(site: Site) -> set[str]:
    return {
        name for name, found in site.index.functions.items() if any(isinstance(f, ast.AsyncFunctionDef) for f in found)
    }


@on(ast.Expr)
def await_statement(site: Site, node: ast.Expr) -> Iterator[Proposal]:
    if isinstance(node.value, ast.Call) and isinstance(site.function, ast.AsyncFunctionDef):
        weight = 0.7 if called_name(node.value) in _coroutines(site) else 0.2
        yield site.replace(node.value, f"await {site.code(node.value)}", "await:add", weight)


@on(ast.Call)
def await_receiver(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """`client.get(x).json()` with the inner call awaited."""
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.Attribute | ast.Subscript) and isinstance(site.function, ast.AsyncFunctionDef):
        yield site.replace(
            node, f"(await {site.code(node)})", "await:add", 0.3 if called_name(node) in _coroutines(site) else 0.1
        )
