"""Calls: arguments exchanged, dropped or added, keywords, other methods, sorting, encodings."""

import ast
from collections.abc import Iterator

from assets.executions.tokenizer import similarity

from .base import BUILTINS, Proposal, Site, called_name, on
from .library_methods import library_siblings

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
    name = called_name(node)
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
    """`name=other` where `name=name` is meant."""
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
    if not own:
        for other in library_siblings(name):
            yield site.span(start, end, other, "call:method", 0.3)
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


_ENDS = {"strip": "[1:-1]", "lstrip": "[1:]", "rstrip": "[:-1]"}


@on(ast.Call)
def one_at_each_end(site: Site, node: ast.Call) -> Iterator[Proposal]:
    """`text.strip('"')` takes away as many as there are at an end; a slice or `removeprefix` takes one."""
    if not (isinstance(node.func, ast.Attribute) and node.func.attr in _ENDS and len(node.args) == 1):
        return
    given = node.args[0]
    if isinstance(given, ast.Constant) and isinstance(given.value, str | bytes):
        text, argument = site.code(node.func.value), site.code(given)
        if len(given.value) == 1:
            yield site.replace(node, f"{text}{_ENDS[node.func.attr]}", "call:method", 0.5)
        if node.func.attr == "strip":
            once = f"{text}.removeprefix({argument}).removesuffix({argument})"
            yield site.replace(node, once, "call:method", 0.4)


@on(ast.Call)
def sort_arguments(site: Site, node: ast.Call) -> Iterator[Proposal]:
    name = called_name(node)
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
    if called_name(node) != "enumerate":
        return
    if len(node.args) == 1 and not node.keywords:
        yield _added(site, node, "start=1", "range:enumerate", 0.55)
    elif node.args:
        yield site.replace(node, f"enumerate({site.code(node.args[0])})", "range:enumerate", 0.45)


@on(ast.Call)
def encoding_arguments(site: Site, node: ast.Call) -> Iterator[Proposal]:
    if called_name(node) in ("open", "read_text", "write_text") and not any(k.arg == "encoding" for k in node.keywords):
        yield _added(site, node, 'encoding="utf-8"', "call:add", 0.2)
        if called_name(node) == "open":
            yield _added(site, node, 'newline=""', "call:add", 0.15)
    if called_name(node) in ("split", "rsplit") and len(node.args) == 1:
        yield _added(site, node, "1", "call:add", 0.4)
    elif called_name(node) in ("split", "rsplit") and len(node.args) == 2:
        yield site.replace(node, f"{site.code(node.func)}({site.code(node.args[0])})", "call:drop", 0.35)
    if (
        called_name(node) in ("split", "rsplit")
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == " "
    ):
        yield site.replace(node, f"{site.code(node.func)}()", "call:drop", 0.45)
    if called_name(node) in ("loads", "dumps", "dump") and not any(k.arg == "sort_keys" for k in node.keywords):
        yield _added(site, node, "sort_keys=True", "call:add", 0.12)
        yield _added(site, node, "ensure_ascii=False", "call:add", 0.15)
    if called_name(node) == "zip" and not node.keywords:
        yield _added(site, node, "strict=True", "call:add", 0.1)
    if called_name(node) in ("mkdir", "makedirs"):
        yield _added(site, node, "exist_ok=True", "call:add", 0.3)
        yield _added(site, node, "parents=True", "call:add", 0.3)
        yield _added(site, node, "parents=True, exist_ok=True", "call:add", 0.3)
    if (
        called_name(node) in ("compile", "match", "search", "sub", "findall", "fullmatch", "split")
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
    ):
        for flag in ("re.IGNORECASE", "re.MULTILINE", "re.DOTALL"):
            text = f"flags={flag}" if called_name(node) in ("sub", "split") else flag
            yield _added(site, node, text, "string:flags", 0.2)
