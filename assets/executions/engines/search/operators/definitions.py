"""Definitions: parameters and their defaults, decorators, `super().__init__`, shared class attributes, imports."""

import ast
import sys
from collections.abc import Iterator

from assets.executions.engines.search.source import Edit

from .base import BUILTINS, Proposal, Site, on_statement
from .imports import import_edit, module_path

_FROM = {
    "defaultdict": "collections", "Counter": "collections", "OrderedDict": "collections", "deque": "collections",
    "namedtuple": "collections", "dataclass": "dataclasses", "field": "dataclasses",
    "datetime": "datetime", "timedelta": "datetime", "timezone": "datetime", "date": "datetime", "Path": "pathlib",
    "Decimal": "decimal", "Fraction": "fractions", "partial": "functools", "wraps": "functools",
    "reduce": "functools", "lru_cache": "functools", "cached_property": "functools", "chain": "itertools",
    "islice": "itertools", "groupby": "itertools", "product": "itertools", "combinations": "itertools",
    "deepcopy": "copy", "contextmanager": "contextlib", "suppress": "contextlib", "Enum": "enum", "ABC": "abc",
    "abstractmethod": "abc", "Optional": "typing", "Any": "typing", "List": "typing", "Dict": "typing",
    "ceil": "math", "floor": "math", "sqrt": "math", "isclose": "math", "itemgetter": "operator",
    "attrgetter": "operator", "Lock": "threading", "StringIO": "io", "BytesIO": "io", "OrderedSet": "collections",
}  # fmt: skip


@on_statement
def parameters(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """Default values: a shared mutable one, another constant."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    arguments = [*node.args.posonlyargs, *node.args.args]
    pairs = list(zip(arguments[len(arguments) - len(node.args.defaults) :], node.args.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is not None]
    body = node.body
    first = (
        body[1]
        if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        else body[0]
    )
    for argument, default in pairs:
        text = site.code(default)
        mutable = isinstance(default, ast.List | ast.Dict | ast.Set) or text in (
            "list()",
            "dict()",
            "set()",
            "defaultdict(list)",
        )
        called = isinstance(default, ast.Call)
        if mutable or called:
            guard = site.before(
                first, [f"if {argument.arg} is None:", f"    {argument.arg} = {text}"], "default:mutable", 1.0
            )
            if guard is not None:
                change = site.replace(default, "None", "default:mutable", 1.0)
                yield Proposal((*change.edits, *guard.edits), "default:mutable", 1.2 if mutable else 0.6)
        if isinstance(default, ast.Constant):
            value = default.value
            options: list[tuple[str, float]] = []
            if isinstance(value, bool):
                options = [(str(not value), 0.5), ("None", 0.1)]
            elif isinstance(value, int):
                options = [(str(value + 1), 0.35), (str(value - 1), 0.35), ("0", 0.15), ("1", 0.15), ("None", 0.12)]
            elif value is None:
                options = [("0", 0.15), ('""', 0.15), ("()", 0.1), ("False", 0.1), ("True", 0.1), ("1", 0.1)]
            elif isinstance(value, str):
                options = [('""', 0.15), ("None", 0.15), ('" "', 0.1), ('","', 0.1), ('", "', 0.1)]
            elif isinstance(value, float):
                options = [("None", 0.1), ("0.0", 0.15), ("1.0", 0.15)]
            for literal in site.symptoms.literals[:20]:
                if type(literal) is type(value) and literal != value:
                    options.append(
                        (
                            repr(literal) if not isinstance(literal, str) else f'"{literal}"',
                            0.2 if str(literal) in site.symptoms.issue else 0.06,
                        )
                    )
            for other, weight in options:
                if other != text:
                    yield site.replace(default, other, "default:value", weight)
    if site.symptoms.missing_arguments:
        for argument in arguments[: len(arguments) - len(node.args.defaults)]:
            if argument.arg in site.symptoms.missing_arguments:
                for value in ("None", "0", "False", '""', "()"):
                    end = site.source.span(argument)[1]
                    yield site.span(
                        end,
                        end,
                        f"={value}" if argument.annotation is None else f" = {value}",
                        "signature:default",
                        0.4,
                    )
    for keyword in sorted(site.symptoms.bad_keywords):
        if keyword not in {a.arg for a in arguments} and arguments:
            end = site.source.span(pairs[-1][1] if pairs and pairs[-1][0] is arguments[-1] else arguments[-1])[1]
            yield site.span(end, end, f", {keyword}=None", "signature:add", 0.3)
    if (
        arguments
        and isinstance(site.source.parents.get(node), ast.ClassDef)
        and arguments[0].arg not in ("self", "cls")
    ):
        start = site.source.span(arguments[0])[0]
        yield site.span(start, start, "self, ", "signature:self", 0.6)
    elif not arguments and isinstance(site.source.parents.get(node), ast.ClassDef) and not node.decorator_list:
        at = site.source.text.find("(", site.source.span(node)[0]) + 1
        yield site.span(at, at, "self", "signature:self", 0.6)


@on_statement
def decorators(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A decorator missing or too many."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    in_class = isinstance(site.source.parents.get(node), ast.ClassDef)
    names = [
        d.id if isinstance(d, ast.Name) else d.attr if isinstance(d, ast.Attribute) else "" for d in node.decorator_list
    ]
    for decorator, name in zip(node.decorator_list, names, strict=True):
        line = decorator.lineno
        start = site.source.line_start(line)
        if site.source.text[start : site.source.span(decorator)[0]].strip() == "@":
            end = site.source.line_start((decorator.end_lineno or line) + 1)
            yield Proposal(
                (Edit(site.source.path, start, end, ""),),
                "decorator:remove",
                0.35
                if name in ("property", "staticmethod", "classmethod", "lru_cache", "cache", "cached_property")
                else 0.12,
            )
        if name == "staticmethod":
            yield site.replace(decorator, "classmethod", "decorator:change", 0.3)
        elif name == "classmethod":
            yield site.replace(decorator, "staticmethod", "decorator:change", 0.2)
        elif name == "cached_property":
            yield site.replace(decorator, "property", "decorator:change", 0.5)
    if in_class and not node.decorator_list:
        arguments = [a.arg for a in node.args.args]
        if arguments == ["self"]:
            yield site.before(node, ["@property"], "decorator:add", 0.3)
        if arguments[:1] == ["cls"]:
            yield site.before(node, ["@classmethod"], "decorator:add", 0.8)
        if arguments[:1] not in (["self"], ["cls"]):
            yield site.before(node, ["@staticmethod"], "decorator:add", 0.7)
    if not in_class and "wraps" not in names:
        outer = site.source.function_of(node)
        if outer is not None and outer.args.args and len(outer.body) >= 2:
            function = outer.args.args[0].arg
            if "wraps" in site.globals:
                yield site.before(node, [f"@wraps({function})"], "decorator:add", 0.5)
            elif "functools" in site.globals:
                yield site.before(node, [f"@functools.wraps({function})"], "decorator:add", 0.5)
            else:
                imported = import_edit(site, "import functools")
                made = site.before(node, [f"@functools.wraps({function})"], "decorator:add", 0.4)
                if (
                    imported is not None
                    and made is not None
                    and any(
                        isinstance(n, ast.Return) and isinstance(n.value, ast.Name) and n.value.id == node.name
                        for n in outer.body
                    )
                ):
                    yield Proposal((*imported.edits, *made.edits), "decorator:add", 0.4)


@on_statement
def asynchronous(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    if isinstance(node, ast.FunctionDef) and any(isinstance(n, ast.Await) for n in ast.walk(node)):
        start = site.source.span(node)[0]
        yield site.span(start, start, "async ", "await:define", 0.5)


@on_statement
def parent_call(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A missing call of the base class's method, at the start or at the end."""
    if site.function is None or site.owner is None or site.self_name is None or not site.owner.bases:
        return
    first = site.function.body[0]
    last = site.function.body[-1]
    if (node is not first and node is not last) or "super()" in site.code(site.function):
        return
    name = site.function.name
    base_function = None
    for base in site.index.bases(site.owner.name):
        entry = site.index.classes.get(base)
        if entry is not None:
            base_function = next((i for i in entry[1].body if isinstance(i, ast.FunctionDef) and i.name == name), None)
            if base_function is not None:
                break
    if base_function is None and name != "__init__":
        return
    wanted = [a.arg for a in base_function.args.args[1:]] if base_function is not None else []
    given = [n for n in wanted if n in site.parameters]
    options = [", ".join(given), ", ".join(f"{n}={n}" for n in given), "", ", ".join(site.parameters)]
    for arguments in dict.fromkeys(options):
        if node is first:
            yield site.before(node, [f"super().{name}({arguments})"], "definition:super", 0.55)
        if node is last and not isinstance(node, ast.Return):
            yield site.after(node, [f"super().{name}({arguments})"], "definition:super", 0.3)


@on_statement
def shared_attribute(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A mutable class attribute made each instance's own."""
    owner = site.source.parents.get(node)
    if not isinstance(owner, ast.ClassDef) or not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    text = site.code(node.value)
    mutable = isinstance(node.value, ast.List | ast.Dict | ast.Set | ast.ListComp) or (
        isinstance(node.value, ast.Call)
        and text.split("(")[0]
        in ("list", "dict", "set", "defaultdict", "deque", "OrderedDict", "Counter", "collections.defaultdict")
    )
    if not mutable or not isinstance(target, ast.Name):
        return
    removed = site.delete(node)
    if removed is None:
        return
    made_by_dataclass = any("dataclass" in site.code(d) for d in owner.decorator_list)
    if made_by_dataclass:
        factory = {"[]": "list", "{}": "dict"}.get(text, f"lambda: {text}")
        yield site.replace(node.value, f"field(default_factory={factory})", "definition:shared", 0.9)
        return
    init = next((i for i in owner.body if isinstance(i, ast.FunctionDef) and i.name == "__init__"), None)
    if init is not None:
        body = init.body
        first = (
            body[1]
            if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
            else body[0]
        )
        added = site.before(first, [f"{init.args.args[0].arg}.{target.id} = {text}"], "definition:shared", 0.9)
        if added is not None and len(owner.body) > 1:
            yield Proposal((removed, *added.edits), "definition:shared", 0.9)
    else:
        indent = site.source.indent(node)
        body_text = f"{indent}def __init__(self):{site.newline}{indent}    self.{target.id} = {text}{site.newline}"
        if owner.bases:
            lines = (
                "def __init__(self, *args, **kwargs):",
                "    super().__init__(*args, **kwargs)",
                f"    self.{target.id} = {text}",
            )
            body_text = "".join(f"{indent}{line}{site.newline}" for line in lines)
        yield Proposal((Edit(site.source.path, removed.start, removed.end, body_text),), "definition:shared", 0.7)


@on_statement
def missing_import(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """An import for a name that is used but not defined."""
    for name in sorted(site.symptoms.unknown_names)[:4]:
        if name in BUILTINS or name in site.globals or name not in site.code(node):
            continue
        if name in sys.stdlib_module_names:
            yield import_edit(site, f"import {name}")
        if name in _FROM:
            yield import_edit(site, f"from {_FROM[name]} import {name}")
        for path in site.index.defined_in.get(name, [])[:3]:
            if path != site.source.path:
                yield import_edit(site, f"from {module_path(site.source.path, path)} import {name}")


@on_statement
def late_binding(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """A lambda made in a loop that must keep the loop variable's value."""
    variables = [
        n.id
        for around in site.enclosing
        if isinstance(around, ast.For)
        for n in ast.walk(around.target)
        if isinstance(n, ast.Name)
    ]
    for inner in site.source.own_nodes(node):
        scope = list(variables)
        current = site.source.parents.get(inner)
        while current is not None and not isinstance(current, ast.stmt):
            if isinstance(current, ast.ListComp | ast.DictComp | ast.GeneratorExp | ast.SetComp):
                scope += [n.id for g in current.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)]
            current = site.source.parents.get(current)
        if isinstance(inner, ast.Lambda):
            used = [
                v
                for v in dict.fromkeys(scope)
                if any(isinstance(n, ast.Name) and n.id == v for n in ast.walk(inner.body))
            ]
            if used:
                given = (
                    site.source.text[site.source.span(inner)[0] + len("lambda") : site.source.span(inner.body)[0]]
                    .rstrip()
                    .rstrip(":")
                    .strip()
                )
                bound = ", ".join([*([given] if given else []), *(f"{v}={v}" for v in used)])
                yield site.replace(inner, f"lambda {bound}: {site.code(inner.body)}", "default:binding", 0.9)


@on_statement
def imported_name(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """Another name imported, when importing fails or the wrong one was taken."""
    if not isinstance(node, ast.ImportFrom) or not node.module:
        return
    tail = node.module.split(".")[-1]
    for alias in node.names:
        if alias.name in site.index.defined_in and not any(
            p.endswith((f"{tail}.py", f"{tail}/__init__.py")) for p in site.index.defined_in[alias.name]
        ):
            for path in site.index.defined_in[alias.name][:3]:
                start, end = site.source.span(node)
                text = site.source.text[start:end]
                yield site.span(
                    start,
                    end,
                    text.replace(text.split(" import")[0], f"from {module_path(site.source.path, path)}", 1),
                    "import:module",
                    0.7,
                )
        wanted = alias.name in site.symptoms.unknown_names
        for name, paths in site.index.defined_in.items():
            if name == alias.name or not any(p.endswith((f"{tail}.py", f"{tail}/__init__.py")) for p in paths):
                continue
            weight = (0.9 if wanted else 0.3) * site.closeness(alias.name, name)
            yield site.replace(alias, f"{name} as {alias.asname or alias.name}", "import:name", weight * 0.7)
            if alias.asname is None:
                edits = [Edit(site.source.path, *site.source.span(alias), name)]
                edits += [
                    Edit(site.source.path, *site.source.span(n), name)
                    for n in site.source.walk(site.source.tree)
                    if isinstance(n, ast.Name) and n.id == alias.name
                ]
                yield Proposal(tuple(edits), "import:name", weight)
