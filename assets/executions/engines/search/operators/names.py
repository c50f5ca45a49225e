"""Names: a wrong variable, a wrong attribute, a missing or superfluous `self.`."""

import ast
import re
from collections.abc import Iterator

from assets.executions.engines.search.source import Edit
from assets.executions.tokenizer import similarity

from .base import BUILTINS, Proposal, Site, on, on_statement

_LIMIT = 25


@on(ast.Name)
def other_variable(site: Site, node: ast.Name) -> Iterator[Proposal]:
    """Another name in scope where this one is read."""
    if not isinstance(node.ctx, ast.Load) or node.id == site.self_name:
        return
    parent = site.source.parents.get(node)
    called = isinstance(parent, ast.Call) and parent.func is node
    if called:
        yield from _other_function(site, node)
        return
    if isinstance(parent, ast.Attribute) and node.id in _imported(site):
        return
    unknown = node.id in site.symptoms.unknown_names
    base = 0.9 if unknown else 0.52
    visible = site.visible(node)
    for name in visible[:_LIMIT]:
        if name != node.id:
            weight = base * site.closeness(node.id, name) * site.alike(node, name)
            yield site.replace(node, name, "name:variable", weight)
    if site.self_name:
        for field in site.fields:
            alike = similarity(node.id, field.lstrip("_"))
            weight = 0.55 if alike == 1.0 else 0.25 * site.closeness(node.id, field)
            weight *= site.alike(node, f"{site.self_name}.{field}")
            yield site.replace(
                node, f"{site.self_name}.{field}", "name:field", weight if not unknown else max(weight, 0.8 * alike)
            )
    if node.id.isupper() or node.id in site.globals or unknown:
        for name in site.globals:
            if name != node.id and (name.isupper() == node.id.isupper() or unknown):
                yield site.replace(node, name, "name:global", 0.45 * site.closeness(node.id, name))
    else:
        for name in site.globals:
            if name.isupper() and name not in site.index.functions:
                yield site.replace(node, name, "name:global", 0.2 * site.closeness(node.id, name))


def _imported(site: Site) -> set[str]:
    found: set[str] = set()
    for statement in site.source.tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    return found


_FAMILIES = (
    ("min", "max"), ("any", "all"), ("sum", "len", "max", "min"), ("list", "tuple", "set", "sorted", "reversed"),
    ("int", "float", "round", "str", "bool"),
    ("isinstance", "issubclass"), ("str", "repr"), ("dict", "list", "set"), ("map", "filter"), ("zip", "enumerate"),
    ("abs", "int"), ("sorted", "list", "reversed"),
    ("getattr", "hasattr"), ("ord", "chr"), ("bytes", "bytearray", "str"), ("iter", "next"),
)  # fmt: skip


def _other_function(site: Site, node: ast.Name) -> Iterator[Proposal]:
    for family in _FAMILIES:
        if node.id in family:
            for other in family:
                if other != node.id:
                    yield site.replace(node, other, "call:function", 0.6 if len(family) == 2 else 0.3)
    if node.id in BUILTINS:
        yield from _own_conversion(site, node)
        return
    unknown = node.id in site.symptoms.unknown_names
    known = [
        name
        for name in site.globals
        if name in site.index.functions or name in site.index.classes or name in _imported(site)
    ]
    for name in known:
        if name != node.id and name[:1].isupper() == node.id[:1].isupper():
            yield site.replace(node, name, "call:function", (0.8 if unknown else 0.4) * site.closeness(node.id, name))
    if site.self_name:
        for method in site.methods:
            alike = similarity(node.id, method)
            if alike > 0.6 or unknown:
                yield site.replace(node, f"{site.self_name}.{method}", "name:field", 0.5 * alike)


def _own_conversion(site: Site, node: ast.Name) -> Iterator[Proposal]:
    """A function of the project in place of a builtin conversion: it handles what the builtin does not."""
    call = site.source.parents.get(node)
    if node.id not in _CONVERSIONS or not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
        return
    for name in site.globals:
        if any(map(_takes_one_argument, site.index.functions.get(name, ()))):
            named = any(word in name.lower() for word in _CONVERSIONS[node.id])
            yield site.replace(node, name, "call:function", 0.4 if named else 0.12)


def _takes_one_argument(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    needed = len(positional) - len(given.defaults)
    named = any(default is None for default in given.kw_defaults)
    return bool(positional) and needed <= 1 and not named and positional[0].arg not in ("self", "cls")


_CONVERSIONS = {
    "str": ("str", "text", "repr", "format"), "repr": ("str", "repr", "text", "format"), "int": ("int", "num", "parse"),
    "float": ("float", "num", "parse"), "bool": ("bool", "true", "truth"), "list": ("list", "items", "seq"),
    "tuple": ("tuple", "items", "seq"), "dict": ("dict", "map"), "set": ("set", "unique"), "bytes": ("bytes", "encode"),
}  # fmt: skip


@on(ast.Attribute)
def other_attribute(site: Site, node: ast.Attribute) -> Iterator[Proposal]:
    """Another attribute of the same object: of its class when that is known, else one that the project defines."""
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        return  # a method: see `calls.other_method`
    start, end = site.source.span(node)
    start = site.source.span(node.value)[1]
    prefix = site.source.text[start : end - len(node.attr)]
    missing = any(attribute == node.attr for _, attribute in site.symptoms.missing_attributes)
    own = isinstance(node.value, ast.Name) and node.value.id == site.self_name
    names = site.fields if own else sorted(_on_receiver(site, node) | (_loosely(site, node.attr) if missing else set()))
    if own and isinstance(node.ctx, ast.Store):
        names = [*names, *sorted(_never_assigned(site) - set(names))]
    base = 0.3 if isinstance(node.ctx, ast.Store) and not missing else 0.9 if missing else 0.45
    wanted = _never_assigned(site) if own and isinstance(node.ctx, ast.Store) else set()
    for name in names[:60]:
        if name != node.attr:
            weight = max(base, 0.8 if name in wanted else 0.0) * site.closeness(node.attr, name)
            yield site.span(start, end, f"{prefix}{name}", "attribute:other", weight)
    if own and isinstance(node.ctx, ast.Load):
        for name in site.visible(node):
            weight = 0.5 if name == node.attr.lstrip("_") else 0.2 * site.closeness(node.attr, name)
            yield site.replace(node, name, "name:local", weight)
        for method in site.methods:
            if similarity(method, node.attr) > 0.5:
                yield site.replace(node, f"{site.self_name}.{method}()", "attribute:method", 0.25)
    if own and site.owner is not None and isinstance(node.ctx, ast.Load):
        yield site.replace(node, f"{site.owner.name}.{node.attr}", "attribute:class", 0.08)
    for one, other in _ATTRIBUTE_TWINS:
        if node.attr == one:
            yield site.span(start, end, f"{prefix}{other}", "attribute:twin", 0.6)
    if not own and isinstance(node.ctx, ast.Load):
        yield site.replace(
            node, f"{site.code(node)}()", "attribute:call", 0.25 if node.attr in _all_methods(site) else 0.03
        )


_ATTRIBUTE_TWINS = (("seconds", "total_seconds()"), ("days", "total_seconds()"), ("microseconds", "total_seconds()"),
    ("stem", "name"), ("name", "stem"), ("suffix", "name"),
                    ("real", "imag"), ("start", "stop"), ("stop", "start"), ("day", "month"), ("month", "day"),
                    ("hour", "minute"), ("minute", "second"), ("args", "kwargs"),
                    ("numerator", "denominator"), ("denominator", "numerator"))  # fmt: skip


def _all_methods(site: Site) -> set[str]:
    return set().union(*site.index.methods.values()) if site.index.methods else set()


def _on_receiver(site: Site, node: ast.Attribute) -> set[str]:
    """Attributes read elsewhere from a receiver of the same name, and those of classes that define this one."""
    found: set[str] = set()
    text = site.code(node.value)
    last = text.split(".")[-1]
    for other in site.source.walk(site.source.tree):
        if isinstance(other, ast.Attribute) and not isinstance(other.ctx, ast.Del):
            receiver = other.value
            name = (
                receiver.id
                if isinstance(receiver, ast.Name)
                else receiver.attr
                if isinstance(receiver, ast.Attribute)
                else ""
            )
            if name == last and not (isinstance(site.source.parents.get(other), ast.Call)):
                found.add(other.attr)
    for names in site.index.attributes.values():
        if node.attr in names and len(found) < 80:
            found |= names
    return found


def _never_assigned(site: Site) -> set[str]:
    """Attributes that methods of the class read from `self` although nothing assigns them."""
    if site.owner is None:
        return set()
    read = {n.attr for n in site.source.walk(site.owner) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)
            and isinstance(n.value, ast.Name) and n.value.id == site.self_name}  # fmt: skip
    return read - set(site.fields) - set(site.methods)


def _loosely(site: Site, attribute: str) -> set[str]:
    return {name for name in site.index.all_attributes if similarity(name, attribute) > 0.4}


@on(ast.Subscript)
def subscripted_base(site: Site, node: ast.Subscript) -> Iterator[Proposal]:
    """The order of two indices exchanged: `xs[i][j]` where `xs[j][i]` is meant."""
    if (
        isinstance(node.value, ast.Subscript)
        and not isinstance(node.slice, ast.Slice)
        and not isinstance(node.value.slice, ast.Slice)
    ):
        outer, inner = site.code(node.slice), site.code(node.value.slice)
        yield site.replace(node, f"{site.code(node.value.value)}[{outer}][{inner}]", "order:index", 0.4)


@on(ast.Tuple, ast.List)
def element_order(site: Site, node: ast.Tuple | ast.List) -> Iterator[Proposal]:
    """Neighbouring elements exchanged, one dropped, or a variable added."""
    items = node.elts
    if not 1 <= len(items) <= 12 or any(isinstance(item, ast.Starred) for item in items):
        return
    codes = [site.code(item) for item in items]
    for i in range(len(items) - 1):
        start, end = site.source.span(items[i])[0], site.source.span(items[i + 1])[1]
        middle = site.source.text[site.source.span(items[i])[1] : site.source.span(items[i + 1])[0]]
        weight = 0.4 if len(items) == 2 else 0.25
        if isinstance(items[i], ast.Constant) and isinstance(items[i + 1], ast.Constant):
            weight *= 0.4
        yield site.span(start, end, f"{codes[i + 1]}{middle}{codes[i]}", "order:elements", weight)
    if isinstance(node.ctx, ast.Load) and isinstance(node, ast.Tuple):
        last = site.source.span(items[-1])[1]
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        for name in [n for n in site.visible(node) if n not in used][:8]:
            yield site.span(last, last, f", {name}", "order:add", 0.15)


@on(ast.BinOp, ast.Call, ast.Subscript, ast.Attribute)
def other_expression(site: Site, node: ast.expr) -> Iterator[Proposal]:
    """A whole expression where a plain variable is meant."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    parent = site.source.parents.get(node)
    if not isinstance(parent, ast.Return | ast.Assign | ast.Call | ast.keyword | ast.Compare | ast.Subscript):
        return
    if isinstance(parent, ast.Call) and parent.func is node:
        return
    for name in site.visible(node)[:10]:
        yield site.replace(node, name, "name:expression", 0.1)


@on(ast.Name)
def project_of(site: Site, node: ast.Name) -> Iterator[Proposal]:
    """A plain variable where one of its attributes or elements is meant, as used elsewhere in the file."""
    if not isinstance(node.ctx, ast.Load) or node.id == site.self_name:
        return
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and parent.func is node):
        return
    seen: set[str] = set()
    for other in site.source.walk(site.source.tree):
        if (
            isinstance(other, ast.Attribute | ast.Subscript)
            and isinstance(other.value, ast.Name)
            and other.value.id == node.id
        ):
            text = site.code(other)
            around = site.source.parents.get(other)
            if isinstance(around, ast.Call) and around.func is other:
                if around.args or around.keywords:
                    continue
                text = site.code(around)
            if text not in seen and len(text) < 50 and text != node.id and len(seen) < 20:
                seen.add(text)
                yield site.replace(node, text, "name:part", 0.2)


@on_statement
def forgotten_operand(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """A parameter that the function never reads, added to what it computes."""
    if site.function is None or not isinstance(node, ast.Return | ast.Assign | ast.AugAssign) or node.value is None:
        return
    unread = [name for name in site.parameters if name in site.leftovers][:3]
    targets: list[ast.expr] = [node.value]
    if isinstance(node.value, ast.Call):
        targets += [argument for argument in node.value.args if not isinstance(argument, ast.Starred)]
    for name in unread:
        for value in targets:
            text = site.bare(value)
            for made, weight in ((f"{name} * {text}", 0.2), (f"{text} + {name}", 0.2), (f"{text} - {name}", 0.15),
                                 (f"{name} - {text}", 0.1), (f"{text} / {name}", 0.12),
                                 (f"{text} and {name}", 0.05)):  # fmt: skip
                yield site.replace(value, made, "name:operand", weight)


def _mirrors(site: Site, node: ast.Assign | ast.AugAssign, one: str, other: str) -> bool:
    """Whether both sides of an assignment are the same but for the two names: `size[a] += size[b]`."""
    target = site.code(node.targets[0] if isinstance(node, ast.Assign) else node.target)
    swapped = re.sub(rf"\b(?:{re.escape(one)}|{re.escape(other)})\b", lambda m: other if m[0] == one else one, target)
    return swapped == site.code(node.value) and swapped != target


@on_statement
def exchanged_names(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """Two names of a statement exchanged."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return
    places: dict[str, list[ast.Name]] = {}
    fields: dict[str, list[ast.Attribute]] = {}
    for inner in site.source.own_nodes(node):
        if isinstance(inner, ast.Name) and inner.id != site.self_name:
            around = site.source.parents.get(inner)
            if (
                not (isinstance(around, ast.Call) and around.func is inner)
                and inner.id not in _imported(site)
                and inner.id not in BUILTINS
            ):
                places.setdefault(inner.id, []).append(inner)
        elif isinstance(inner, ast.Attribute) and inner.attr not in _all_methods(site):
            fields.setdefault(inner.attr, []).append(inner)
    names = list(places)[:5]
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            edits = [Edit(site.source.path, *site.source.span(n), other) for n in places[one]]
            edits += [Edit(site.source.path, *site.source.span(n), one) for n in places[other]]
            weight = 0.25 if len(edits) > 2 else 0.2
            if isinstance(node, ast.Assign | ast.AugAssign) and _mirrors(site, node, one, other):
                weight = 0.5
            yield Proposal(tuple(edits), "order:names", weight)
    attributes = list(fields)[:5]
    for i, one in enumerate(attributes):
        for other in attributes[i + 1 :]:
            edits = []
            for name, new in ((one, other), (other, one)):
                for found in fields[name]:
                    end = site.source.span(found)[1]
                    edits.append(Edit(site.source.path, end - len(name), end, new))
            yield Proposal(tuple(edits), "order:names", 0.25)


@on_statement
def missing_assignment(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """An attribute that the class reads and nothing assigns, set at the end of `__init__`."""
    function = site.function
    if function is None or function.name != "__init__" or site.self_name is None or function.body[-1] is not node:
        return
    for attribute in sorted(_never_assigned(site))[:5]:
        for name in site.parameters:
            weight = 0.75 * similarity(name, attribute.lstrip("_"))
            if weight > 0.3 or name in site.leftovers:
                yield site.after(
                    node, [f"{site.self_name}.{attribute} = {name}"], "statement:attribute", max(weight, 0.3)
                )
        for value in ("[]", "{}", "0", "None", "False", "set()", '""'):
            yield site.after(node, [f"{site.self_name}.{attribute} = {value}"], "statement:attribute", 0.3)
