"""Calls: arguments exchanged, dropped or added, keywords, other methods, wrapping and unwrapping, awaiting."""

import ast
from collections.abc import Iterator

from ..words import similarity
from .base import BUILTINS, Proposal, Site, on
from .kinds import LIST, MAPPING, NUMBER, SET, TEXT

_METHOD_FAMILIES = (
    ("append", "extend", "add", "insert"), ("append", "appendleft"), ("pop", "popleft"), ("add", "update", "discard"),
    ("find", "rfind", "index"), ("index", "find", "rindex", "count"), ("split", "rsplit", "splitlines", "partition"),
    ("partition", "rpartition"),
    ("strip", "lstrip", "rstrip"), ("removeprefix", "lstrip", "removesuffix", "rstrip"), ("startswith", "endswith"),
    ("lower", "upper", "casefold", "title", "capitalize"),
    ("title", "capitalize", "upper"), ("keys", "values", "items"), ("get", "pop", "setdefault"),
    ("remove", "discard", "pop"),
    ("isdigit", "isnumeric", "isdecimal", "isalnum", "isalpha"),
    ("union", "intersection", "difference", "symmetric_difference"), ("issubset", "issuperset", "isdisjoint"),
    ("floor", "ceil", "trunc"), ("copy", "deepcopy"), ("match", "fullmatch", "search"),
    ("findall", "search", "finditer", "match"), ("sub", "subn"),
    ("read", "readline", "readlines"), ("update", "setdefault"), ("seconds", "total_seconds"),
    ("now", "utcnow", "today"), ("group", "groups"), ("ljust", "rjust", "center", "zfill"),
    ("loads", "load"), ("dumps", "dump"), ("encode", "decode"), ("mean", "median", "mode"), ("isupper", "islower"),
    ("weekday", "isoweekday"), ("replace", "strip", "removeprefix", "removesuffix"),
    ("heappush", "heappop", "heappushpop", "heapreplace"), ("nlargest", "nsmallest"),
    ("bisect_left", "bisect_right", "bisect"), ("insort_left", "insort_right"),
    ("permutations", "combinations", "product", "combinations_with_replacement"), ("accumulate", "chain"),
    ("join", "format"), ("acquire", "release"), ("clear", "pop"), ("sort", "reverse"),
    ("sqrt", "pow"), ("log", "log2", "log10"), ("sin", "cos", "tan"), ("degrees", "radians"), ("stdev", "pstdev"),
    ("variance", "pvariance"), ("debug", "info", "warning", "error"),
    ("start", "end", "span"), ("exists", "is_file", "is_dir"), ("stem", "name", "suffix"), ("basename", "dirname"),
    ("glob", "rglob"), ("put", "get"), ("write", "writelines"),
    ("date", "time"), ("strftime", "strptime", "isoformat"), ("most_common", "elements", "items"),
    ("quantize", "normalize"), ("gcd", "lcm"),
)  # fmt: skip


@on(ast.Call)
def exchange_arguments(site: Site, node: ast.Call) -> Iterator[Proposal]:
    for i in range(len(node.args) - 1):
        if isinstance(node.args[i], ast.Starred) or isinstance(node.args[i + 1], ast.Starred):
            continue
        yield _exchange(site, node.args[i], node.args[i + 1], 0.5 if len(node.args) == 2 else 0.35)
    if len(node.args) == 3:
        yield _exchange(site, node.args[0], node.args[2], 0.12)
    for i in range(len(node.keywords) - 1):
        if node.keywords[i].arg and node.keywords[i + 1].arg:
            yield _exchange(site, node.keywords[i].value, node.keywords[i + 1].value, 0.3)
    if isinstance(node.func, ast.Attribute) and len(node.args) == 1 and not node.keywords:
        # `a.f(b)` for `b.f(a)`
        receiver, argument = node.func.value, node.args[0]
        plain = isinstance(receiver, ast.Name | ast.Attribute) and isinstance(argument, ast.Name | ast.Attribute)
        if plain and site.code(receiver) != site.self_name:
            text = f"{site.code(argument)}.{node.func.attr}({site.code(receiver)})"
            yield site.replace(node, text, "call:swap", 0.25)


def _exchange(site: Site, one: ast.AST, other: ast.AST, weight: float) -> Proposal:
    start, end = site.source.span(one)[0], site.source.span(other)[1]
    middle = site.source.text[site.source.span(one)[1] : site.source.span(other)[0]]
    return site.span(start, end, f"{site.code(other)}{middle}{site.code(one)}", "call:swap", weight)


@on(ast.Call)
def other_arguments(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """One argument dropped; a parameter of the callee that this call leaves out, given."""
    items: list[ast.AST] = [*node.args, *node.keywords]
    name = _called(node)
    for position in range(len(items)):
        rest = [site.code(other) for i, other in enumerate(items) if i != position]
        opening = site.source.text.index("(", site.source.span(node.func)[1])
        closing = site.source.span(node)[1]
        weight = 0.25 if len(items) > 1 else 0.12
        yield site.span(opening, closing, f"({', '.join(rest)})", "call:drop", weight)
    for function in site.index.functions.get(name, [])[:4]:
        yield from _left_out(site, node, function)
    owner = site.index.classes.get(name)
    if owner is not None:
        for item in owner[1].body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                yield from _left_out(site, node, item)
    used = {site.code(a) for a in node.args}
    if (name not in BUILTINS or not items) and len(node.args) < 4:
        for candidate in [n for n in site.visible(node) if n not in used][:6]:
            yield _added(site, node, candidate, "call:add", 0.12)
    elif name in ("sum", "max", "min", "getattr", "next", "int", "dict", "round", "open"):
        for text, weight in (("default=None", 0.12), ("default=0", 0.2), ("None", 0.1), ("0", 0.08), ("key=len", 0.04)):
            if (name in ("max", "min") and text.startswith(("default", "key"))) or (
                name in ("getattr", "next") and "=" not in text
            ):
                yield _added(site, node, text, "call:add", weight)


def _called(node: ast.Call) -> str:
    return (
        node.func.id
        if isinstance(node.func, ast.Name)
        else node.func.attr
        if isinstance(node.func, ast.Attribute)
        else ""
    )


def _added(site: Site, node: ast.Call, text: str, operator: str, weight: float) -> Proposal:
    end = site.source.span(node)[1] - 1
    inside = site.source.text[site.source.span(node.func)[1] : end].rstrip()
    if not node.args and not node.keywords:
        return site.span(end, end, text, operator, weight)
    if inside.endswith(","):
        return site.span(end, end, f" {text}", operator, weight)
    last = max(site.source.span(item)[1] for item in (*node.args, *node.keywords))
    return site.span(last, last, f", {text}", operator, weight)


def _left_out(site: Site, node: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Proposal]:
    names = [p.arg for p in (*function.args.posonlyargs, *function.args.args)]
    if names and names[0] in ("self", "cls"):
        names = names[1:]
    given = {k.arg for k in node.keywords}
    missing = [n for n in (*names[len(node.args) :], *(p.arg for p in function.args.kwonlyargs)) if n not in given]
    for name in missing[:6]:
        wanted = name in site.symptoms.missing_arguments
        for value in site.visible(node)[:12]:
            alike = similarity(name, value)
            weight = 0.6 if value == name else 0.3 * alike
            if weight > 0.1 or wanted:
                yield _added(site, node, f"{name}={value}", "call:add", max(weight, 0.3 if wanted else 0.0))
                if value == name and missing[0] == name and not node.keywords:
                    yield _added(site, node, value, "call:add", weight * 0.8)
        if name in site.fields and site.self_name:
            yield _added(site, node, f"{name}={site.self_name}.{name}", "call:add", 0.45)
        for value in ("True", "False", "None"):
            yield _added(site, node, f"{name}={value}", "call:add", 0.12)
    for keyword in node.keywords:
        if keyword.arg and keyword.arg not in names and keyword.arg not in {p.arg for p in function.args.kwonlyargs}:
            for name in missing:
                start = site.source.span(keyword)[0]
                yield site.span(
                    start, start + len(keyword.arg), name, "call:keyword", 0.5 + 0.4 * similarity(name, keyword.arg)
                )


@on(ast.keyword)
def keyword_value(site: Site, node: ast.keyword) -> Iterator[Proposal]:
    """`name=other` where `name=name` is meant; positional order is the exchange's."""
    if (
        node.arg
        and isinstance(node.value, ast.Name | ast.Attribute | ast.Constant)
        and node.arg in site.visible(node.value)
    ) and site.code(node.value) != node.arg:
        yield site.replace(node.value, node.arg, "call:keyword", 0.55)
    if node.arg and site.self_name and node.arg in site.fields:
        yield site.replace(node.value, f"{site.self_name}.{node.arg}", "call:keyword", 0.4)


@on(ast.Call)
def other_method(site: Site, node: ast.Call) -> Iterator[Proposal]:
    if not isinstance(node.func, ast.Attribute):
        return
    name = node.func.attr
    end = site.source.span(node.func)[1]
    start = end - len(name)
    for family in _METHOD_FAMILIES:
        if name in family:
            for other in family:
                if other != name:
                    weight = 0.5 if len(family) <= 3 else 0.35
                    yield site.span(start, end, other, "call:method", weight)
    own = isinstance(node.func.value, ast.Name) and node.func.value.id == site.self_name
    missing = any(attribute == name for _, attribute in site.symptoms.missing_attributes)
    if own:
        names = set(site.methods)
    else:
        names = set()
        for methods in site.index.methods.values():
            if name in methods or missing:
                names |= methods
    for other in sorted(names):
        if other != name and not other.startswith("__"):
            weight = (0.8 if missing else 0.35) * site.closeness(name, other)
            yield site.span(start, end, other, "call:method", weight)
    if name == "append" and len(node.args) == 1:
        yield site.replace(
            node, f"{site.code(node.func.value)}.insert(0, {site.code(node.args[0])})", "call:method", 0.15
        )
    if name == "insert" and len(node.args) == 2:
        yield site.replace(node, f"{site.code(node.func.value)}.append({site.code(node.args[1])})", "call:method", 0.3)
    if name == "pop":
        receiver = site.code(node.func.value)
        arguments = [site.code(a) for a in node.args]
        if not arguments:
            yield site.replace(node, f"{receiver}.pop(0)", "call:pop", 0.5)
        elif arguments == ["0"]:
            yield site.replace(node, f"{receiver}.pop()", "call:pop", 0.5)
        elif len(arguments) == 1:
            yield site.replace(node, f"{receiver}.pop({arguments[0]}, None)", "lookup:default", 0.4)


@on(ast.Call)
def unwrap(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """`f(x)` where `x` is meant, `x.f()` where `x` is."""
    if len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp):
        weight = (
            0.35
            if _called(node)
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


# What is iterated is no scalar.
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
        isinstance(parent, ast.Call) and node in parent.args and _called(parent) in _ITERATING
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
        weight = 0.5 if _called(node) in _coroutines(site) else 0.15
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
        weight = 0.7 if _called(node.value) in _coroutines(site) else 0.2
        yield site.replace(node.value, f"await {site.code(node.value)}", "await:add", weight)


@on(ast.Call)
def await_receiver(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """`client.get(x).json()` with the inner call awaited."""
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.Attribute | ast.Subscript) and isinstance(site.function, ast.AsyncFunctionDef):
        yield site.replace(
            node, f"(await {site.code(node)})", "await:add", 0.3 if _called(node) in _coroutines(site) else 0.1
        )


@on(ast.Call)
def sort_arguments(site: Site, node: ast.Call) -> Iterator[Proposal]:
    name = _called(node)
    if name not in ("sorted", "sort", "min", "max", "groupby", "nlargest", "nsmallest"):
        return
    reverse = next((k for k in node.keywords if k.arg == "reverse"), None)
    key = next((k for k in node.keywords if k.arg == "key"), None)
    if name in ("sorted", "sort"):
        if reverse is None:
            yield _added(site, node, "reverse=True", "sort:reverse", 0.5)
        elif isinstance(reverse.value, ast.Constant):
            yield site.replace(reverse.value, str(not reverse.value.value), "sort:reverse", 0.5)
    if key is None:
        for text in _keys(site):
            yield _added(site, node, f"key={text}", "sort:key", 0.25)
        element = site.code(node.args[0]) if node.args else ""
        for text, weight in (
            ("len", 0.12),
            ("str.lower", 0.15),
            ("lambda item: item[1]", 0.2),
            ("lambda item: item[0]", 0.15),
            ("abs", 0.05),
            ("int", 0.05),
            ("str", 0.05),
        ):
            yield _added(
                site,
                node,
                f"key={text}",
                "sort:key",
                weight * (1.2 if "items()" in element and "item[" in text else 1.0),
            )
        for attribute in sorted(site.index.all_attributes - set().union(*site.index.methods.values(), set()))[:15]:
            yield _added(site, node, f"key=lambda item: item.{attribute}", "sort:key", 0.08)
    else:
        for text in _keys(site):
            if text != site.code(key.value):
                yield site.replace(key.value, text, "sort:key", 0.2)
        if isinstance(key.value, ast.Lambda):
            body = key.value.body
            if not isinstance(body, ast.Tuple):
                variable = key.value.args.args[0].arg if key.value.args.args else "item"
                yield site.replace(body, f"-{site.bare(body)}", "sort:sign", 0.3)
                for attribute in _seen_on(site, variable):
                    yield site.replace(body, f"({site.code(body)}, {attribute})", "sort:tie", 0.3)
                    yield site.replace(body, f"({attribute}, {site.code(body)})", "sort:tie", 0.15)
                yield site.replace(body, f"({site.code(body)}, {variable})", "sort:tie", 0.15)
            else:
                for part in body.elts:
                    if isinstance(part, ast.UnaryOp):
                        yield site.replace(part, site.code(part.operand), "sort:sign", 0.35)
                    else:
                        yield site.replace(part, f"-{site.bare(part)}", "sort:sign", 0.35)


def _keys(site: Site) -> list[str]:
    found = []
    for node in site.source.walk(site.source.tree):
        if isinstance(node, ast.keyword) and node.arg == "key":
            found.append(site.code(node.value))
    return list(dict.fromkeys(found))[:5]


def _seen_on(site: Site, variable: str) -> list[str]:
    """`v.name` and `v[0]` forms for a lambda's variable, from the attributes that the file reads."""
    found = []
    for node in site.source.walk(site.source.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id != "self":
            called = isinstance(site.source.parents.get(node), ast.Call)
            if node.attr in site.index.all_attributes and not called:
                found.append(f"{variable}.{node.attr}")
    found += [f"{variable}[0]", f"{variable}[1]"]
    return list(dict.fromkeys(found))[:10]


@on(ast.Call)
def enumerate_start(site: Site, node: ast.Call) -> Iterator[Proposal]:
    if _called(node) != "enumerate":
        return
    if len(node.args) == 1 and not node.keywords:
        yield _added(site, node, "start=1", "range:enumerate", 0.55)
    elif node.args:
        yield site.replace(node, f"enumerate({site.code(node.args[0])})", "range:enumerate", 0.45)


@on(ast.Call)
def encoding_arguments(site: Site, node: ast.Call) -> Iterator[Proposal]:
    if _called(node) in ("open", "read_text", "write_text") and not any(k.arg == "encoding" for k in node.keywords):
        yield _added(site, node, 'encoding="utf-8"', "call:add", 0.2)
        if _called(node) == "open":
            yield _added(site, node, 'newline=""', "call:add", 0.15)
    if _called(node) in ("split", "rsplit") and len(node.args) == 1:
        yield _added(site, node, "1", "call:add", 0.4)
    elif _called(node) in ("split", "rsplit") and len(node.args) == 2:
        yield site.replace(node, f"{site.code(node.func)}({site.code(node.args[0])})", "call:drop", 0.35)
    if (
        _called(node) in ("split", "rsplit")
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == " "
    ):
        yield site.replace(node, f"{site.code(node.func)}()", "call:drop", 0.45)
    if _called(node) in ("loads", "dumps", "dump") and not any(k.arg == "sort_keys" for k in node.keywords):
        yield _added(site, node, "sort_keys=True", "call:add", 0.12)
        yield _added(site, node, "ensure_ascii=False", "call:add", 0.15)
    if _called(node) == "zip" and not node.keywords:
        yield _added(site, node, "strict=True", "call:add", 0.1)
    if _called(node) in ("mkdir", "makedirs"):
        yield _added(site, node, "exist_ok=True", "call:add", 0.3)
        yield _added(site, node, "parents=True", "call:add", 0.3)
        yield _added(site, node, "parents=True, exist_ok=True", "call:add", 0.3)
    if (
        _called(node) in ("compile", "match", "search", "sub", "findall", "fullmatch", "split")
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
    ):
        for flag in ("re.IGNORECASE", "re.MULTILINE", "re.DOTALL"):
            text = f"flags={flag}" if _called(node) in ("sub", "split") else flag
            yield _added(site, node, text, "string:flags", 0.2)
