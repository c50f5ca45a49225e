"""Statements that are missing: copied from elsewhere, mirrored for the other of a pair, an `else`, a `return`."""

import ast
import re
from collections.abc import Iterator

from .base import BUILTINS, Proposal, Site, on_statement


@on_statement
def return_it(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A missing `return`: of an expression, of the recursive call, of the variable that was built."""
    if site.function is None:
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        own = name == site.function.name
        start = site.source.span(node)[0]
        yield site.span(start, start, "return ", "return:add", 0.7 if own else 0.3)
        if name in ("sort", "reverse", "append", "extend", "update", "add") and isinstance(called, ast.Attribute):
            made = site.after(node, [f"return {site.code(called.value)}"], "return:add", 0.3)
            yield made
        if name in (
            "sorted",
            "reversed",
            "strip",
            "lower",
            "upper",
            "replace",
            "rstrip",
            "lstrip",
            "title",
            "union",
            "difference",
            "intersection",
            "removeprefix",
            "removesuffix",
        ):
            receiver = (
                site.code(called.value)
                if isinstance(called, ast.Attribute)
                else site.code(node.value.args[0])
                if node.value.args
                else ""
            )
            if receiver.replace(".", "").replace("_", "").isalnum():
                yield site.span(start, start, f"{receiver} = ", "statement:assign", 0.7)
        for variable in [*site.locals, *site.parameters][:5]:
            yield site.span(start, start, f"{variable} = ", "statement:assign", 0.12)
            yield site.span(start, start, f"{variable} += ", "statement:assign", 0.08)
    if (
        isinstance(node, ast.Assign | ast.AugAssign | ast.For | ast.While | ast.If | ast.With | ast.Expr | ast.Try)
        and site.function.body[-1] is node
    ):
        names = [n for n in site.locals if not n.startswith("_")]
        for name in reversed(names[:6]):
            yield site.after(node, [f"return {name}"], "return:add", 0.45)
        for one in names[:4]:
            for other in names[:4]:
                if one != other:
                    yield site.after(node, [f"return {one}, {other}"], "return:add", 0.15)
        for name in site.parameters[:3]:
            yield site.after(node, [f"return {name}"], "return:add", 0.15)
        if site.self_name:
            yield site.after(node, [f"return {site.self_name}"], "return:add", 0.15)
            for field in site.fields[:8]:
                yield site.after(node, [f"return {site.self_name}.{field}"], "return:add", 0.12)
        for text in ("True", "False", "0", "[]"):
            yield site.after(node, [f"return {text}"], "return:add", 0.1)


def _simple(node: ast.stmt) -> bool:
    return isinstance(
        node, ast.Assign | ast.AugAssign | ast.Expr | ast.Return | ast.Raise | ast.Delete | ast.AnnAssign
    ) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


@on_statement
def copy_from_elsewhere(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A statement from elsewhere in the class or file, inserted here (the plastic surgery hypothesis: Barr et al.
    2014), with a variable renamed if one name is unknown here."""
    if site.function is None or isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    visible = set(site.visible(node)) | set(site.locals) | set(site.globals) | BUILTINS
    if site.self_name:
        visible.add(site.self_name)
    block = site.block_of(node)
    last = block[-1] is node and not isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break)
    seen: set[str] = set()
    count = 0
    for where, factor in ((site.function, 0.9), (site.owner, 1.0), (site.source.tree, 0.5)):
        if where is None:
            continue
        for donor in site.source.walk(where):
            if not isinstance(donor, ast.stmt) or not _donates(site, donor) or count > 60:
                continue
            text = site.code(donor)
            if text in seen or ("\n" in text and not isinstance(donor, ast.If)) or len(text) > 160 or donor is node:
                continue
            seen.add(text)
            free = {n.id for n in ast.walk(donor) if isinstance(n, ast.Name)}
            unknown = free - visible
            variants = [text] if not unknown else []
            if len(unknown) == 1:
                (name,) = unknown
                for other in [n for n in site.visible(node) if n not in free][:4]:
                    variants.append(re.sub(rf"\b{re.escape(name)}\b", other, text))
            lines_indent = site.source.indent(donor)
            for variant in variants:
                count += 1
                lines = [line.removeprefix(lines_indent) for line in variant.split("\n")]
                weight = (
                    0.14
                    * factor
                    * (1.3 if isinstance(donor, ast.AugAssign | ast.Assign) and "self." in variant else 1.0)
                )
                weight *= 1.25 if _related(site, variant) else 1.0
                if isinstance(donor, ast.If):
                    weight *= 1.3
                yield site.before(node, lines, "statement:copy", weight)
                if last:
                    yield site.after(node, lines, "statement:copy", weight)


@on_statement
def carried_over(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """An attribute that a new object lacks, taken from the one that it is made from: `new.x = old.x`."""
    if site.function is None or not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return
    new = node.targets[0].id
    returned = any(
        isinstance(n, ast.Return) and isinstance(n.value, ast.Name) and n.value.id == new
        for n in site.source.walk(site.function)
    )
    if not returned or not isinstance(node.value, ast.Call):
        return
    made_from = [
        n.id for n in ast.walk(node.value) if isinstance(n, ast.Name) and n.id in (*site.parameters, site.self_name)
    ]
    set_already = {n.attr for n in site.source.walk(site.function) if isinstance(n, ast.Attribute)
                   and isinstance(n.value, ast.Name) and n.value.id == new}  # fmt: skip
    known = site.index.all_attributes
    for name in sorted(site.symptoms.names - set_already):
        if name in known or (name.startswith("__") and name.endswith("__") and name in site.symptoms.issue):
            for old in dict.fromkeys(made_from):
                yield site.after(node, [f"{new}.{name} = {old}.{name}"], "statement:carry", 0.35)


@on_statement
def mirrored_copy(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A statement repeated right after itself for the other one of a pair: `left`/`right`, `i`/`j`."""
    if site.function is None or not _simple(node) or isinstance(node, ast.Return | ast.Raise):
        return
    text = site.code(node)
    if "\n" in text:
        return
    used = list(dict.fromkeys(n.id for n in site.source.own_nodes(node) if isinstance(n, ast.Name)))
    others = [n for n in (*site.parameters, *site.locals) if n not in used][:8]
    swappable = [n for n in used if n in site.parameters or n in site.locals]
    made: list[tuple[str, float]] = []
    for one in swappable:
        for other in others:
            once = re.sub(rf"\b{re.escape(one)}\b", other, text)
            made.append((once, 0.16))
            for second in swappable:
                for further in others:
                    if second > one and further != other:
                        made.append((re.sub(rf"\b{re.escape(second)}\b", further, once), 0.14))
    for variant, weight in made[:80]:
        yield site.after(node, [variant], "statement:mirror", weight)


def _donates(site: Site, donor: ast.stmt) -> bool:
    if _simple(donor):
        return site.source.function_of(donor) is not None
    # Small guards: an `if` whose body only exits.
    return (
        isinstance(donor, ast.If)
        and not donor.orelse
        and len(donor.body) == 1
        and isinstance(donor.body[0], ast.Return | ast.Raise | ast.Continue)
    )


def _related(site: Site, text: str) -> bool:
    return any(name in text for name in site.symptoms.names if len(name) > 3 and name not in BUILTINS)


@on_statement
def add_else(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A missing `else`, and the value that a loop should leave when it never breaks."""
    if site.function is None or not isinstance(node, ast.If) or node.orelse or not site.source.starts_line(node):
        return
    for text in ("continue", "break"):
        if any(isinstance(around, ast.For | ast.While) for around in site.enclosing):
            yield site.after(node, ["else:", f"    {text}"], "statement:else", 0.15)
    for inner in node.body:
        if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name | ast.Attribute | ast.Subscript):
            target = site.code(inner.targets[0])
            for value in ("None", "0", "1", "[]", '""', "False", *site.visible(node)[:4]):
                if value != target:
                    yield site.after(node, ["else:", f"    {target} = {value}"], "statement:else", 0.15)
        elif isinstance(inner, ast.AugAssign):
            yield site.after(node, ["else:", f"    {site.code(inner).replace('+=', '-=')}"], "statement:else", 0.06)
