"""Exceptions: the wrong type caught or raised, handlers that do the wrong thing, calls left unprotected."""

import ast
from collections.abc import Iterator

from .base import Proposal, Site, on_statement
from .index import simple_name
from .values import usual_returns

_RELATIVES: dict[str, tuple[str, ...]] = {
    "KeyError": ("IndexError", "LookupError", "AttributeError", "ValueError", "TypeError"),
    "IndexError": ("KeyError", "LookupError", "ValueError"),
    "ValueError": ("TypeError", "KeyError", "IndexError", "ZeroDivisionError", "OverflowError", "Exception"),
    "TypeError": ("ValueError", "AttributeError", "KeyError"),
    "AttributeError": ("KeyError", "TypeError"), "FileNotFoundError": ("OSError", "IOError", "PermissionError"),
    "OSError": ("FileNotFoundError", "Exception"), "StopIteration": ("IndexError",),
    "ZeroDivisionError": ("ArithmeticError", "ValueError", "TypeError"), "RuntimeError": ("ValueError", "TypeError"),
    "NotImplementedError": ("TypeError", "ValueError"), "LookupError": ("ValueError",),
    "Exception": ("ValueError", "KeyError", "TypeError"), "UnicodeDecodeError": ("UnicodeError", "ValueError"),
    "TimeoutError": ("OSError",), "ConnectionError": ("OSError",), "JSONDecodeError": ("ValueError",),
}  # fmt: skip


def _known(site: Site) -> list[str]:
    """Exception types likely here: raised or expected in the failures, named by the issue, defined by the project."""
    found = [*sorted(site.symptoms.raised), *sorted(site.symptoms.expected_raise)]
    found += [name for name in sorted(site.symptoms.names) if name.endswith(("Error", "Exception"))]
    found += [name for name in site.globals if name.endswith(("Error", "Exception"))]
    found += [name for name in site.globals if name in site.index.exceptions]
    return [
        name
        for name in dict.fromkeys(found)
        if name.isidentifier() and name not in ("AssertionError", "Failed", "Hang")
    ][:12]


@on_statement
def handler_type(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """Another type caught, or one more."""
    if not isinstance(node, ast.Try):
        return
    for handler in node.handlers:
        if handler.type is None:
            continue
        raised = set(site.symptoms.raised)
        names = (
            [simple_name(e) for e in handler.type.elts]
            if isinstance(handler.type, ast.Tuple)
            else [simple_name(handler.type)]
        )
        options = [*_known(site), *(r for n in names for r in _RELATIVES.get(n, ()))]
        for name in dict.fromkeys(options):
            if name in names:
                continue
            hot = 0.8 if name in raised else 0.25
            if names == ["Exception"] and name in site.globals:
                hot = max(hot, 0.5)
            yield site.replace(handler.type, name, "exception:type", hot * 0.7)
            inside = (
                ", ".join(site.code(e) for e in handler.type.elts)
                if isinstance(handler.type, ast.Tuple)
                else site.code(handler.type)
            )
            yield site.replace(handler.type, f"({inside}, {name})", "exception:widen", hot)
        if isinstance(handler.type, ast.Tuple) and len(handler.type.elts) > 1:
            for item in handler.type.elts:
                for name in dict.fromkeys([*_known(site), *_RELATIVES.get(simple_name(item), ())]):
                    if name not in names:
                        broad = simple_name(item) in ("Exception", "BaseException", "OSError", "LookupError")
                        yield site.replace(item, name, "exception:type", 0.45 if broad else 0.3)
                yield site.replace(handler.type, site.code(item), "exception:narrow", 0.25)
        if names != ["Exception"]:
            yield site.replace(handler.type, "Exception", "exception:widen", 0.2)
        else:
            for name in ("ValueError", "KeyError", "TypeError", "LookupError", "OSError"):
                yield site.replace(handler.type, name, "exception:narrow", 0.15)
    yield from _handler_body(site, node)


def _handler_body(site: Site, node: ast.Try) -> Iterator[Proposal]:
    loop = any(isinstance(around, ast.For | ast.While) for around in site.enclosing)
    for handler in node.handlers:
        if len(handler.body) != 1:
            continue
        only = handler.body[0]
        current = site.code(only)
        options: list[tuple[str, float]] = [("raise", 0.4)]
        if site.function is not None:
            options += [(f"return {value}", 0.35 * likely) for value, likely in usual_returns(site)[:8]]
        if loop:
            options += [("continue", 0.45), ("break", 0.2)]
        if isinstance(only, ast.Pass | ast.Continue | ast.Break | ast.Return | ast.Raise | ast.Expr):
            for text, weight in options:
                if text != current:
                    yield site.replace(only, text, "exception:handler", weight)
            for kind in _known(site)[:5]:
                if kind in site.symptoms.expected_raise and not isinstance(only, ast.Raise):
                    yield site.replace(only, f'raise {kind}("invalid value")', "exception:handler", 0.2)


@on_statement
def handler_statement(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """A statement inside a handler that swallows or replaces what it should not."""
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.ExceptHandler) and len(parent.body) == 1 and not isinstance(node, ast.Raise):
        yield site.replace(node, "raise", "exception:handler", 0.35)


@on_statement
def raised_type(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return
    kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    name = simple_name(kind)
    for other in dict.fromkeys([*_known(site), *_RELATIVES.get(name, ())]):
        if other != name:
            yield site.replace(kind, other, "exception:raise", 0.8 if other in site.symptoms.expected_raise else 0.2)
    if isinstance(node.exc, ast.Call):
        for text in site.symptoms.expected_text[:2]:
            plain = text.replace("\\", "")
            if '"' not in plain and node.exc.args:
                yield site.replace(node.exc.args[0], f'"{plain}"', "string:changed", 0.25)
    for value, likely in usual_returns(site)[:6]:
        if site.function is not None:
            yield site.replace(node, f"return {value}", "exception:return", 0.2 * likely)


@on_statement
def not_raised(site: Site, node: ast.stmt) -> Iterator[Proposal]:
    """`return X` or a swallowed case where the tests expect an exception."""
    if not site.symptoms.expected_raise or not isinstance(node, ast.Return | ast.Pass | ast.Continue):
        return
    for kind in sorted(site.symptoms.expected_raise)[:3]:
        for text in _messages(site):
            yield site.replace(node, f"raise {kind}({text})", "exception:raise", 0.3)


def _messages(site: Site) -> list[str]:
    found = []
    for text in site.symptoms.expected_text[:2]:
        plain = text.replace("\\", "").strip("^$")
        if '"' not in plain:
            found.append(f'"{plain}"')
    names = site.parameters[:1]
    return found or ([f'f"invalid {names[0].replace("_", " ")}: {{{names[0]}!r}}"'] if names else ['"invalid value"'])


@on_statement
def protect(site: Site, node: ast.stmt) -> Iterator[Proposal | None]:
    """A failing statement wrapped: the exception turned into a return, a skip, or the exception that is expected."""
    if site.function is None or not site.symptoms.raised:
        return
    if not isinstance(node, ast.Return | ast.Assign | ast.Expr | ast.AugAssign) or isinstance(
        site.source.parents.get(node), ast.Try
    ):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    edit = site.delete(node)
    if edit is None:
        return
    lines = site.lines_of(node)
    if len(lines) > 8:
        return
    indent = site.source.indent(node)
    loop = any(isinstance(around, ast.For | ast.While) for around in site.enclosing)
    raised = [
        name
        for name in sorted(site.symptoms.raised)
        if name.isidentifier() and name not in site.symptoms.expected_raise
    ][:3]
    for kind in raised:
        endings: list[tuple[str, float]] = [
            (f"return {value}", 0.2 * likely) for value, likely in usual_returns(site)[:6]
        ]
        if loop:
            endings.append(("continue", 0.13))
        for wanted in sorted(site.symptoms.expected_raise)[:2]:
            for message in _messages(site)[:1]:
                endings.append((f"raise {wanted}({message}) from None", 0.16))
        for ending, weight in endings:
            text = [
                f"{indent}try:",
                *(f"{indent}    {line}" if line.strip() else line for line in lines),
                f"{indent}except {kind}:",
                f"{indent}    {ending}",
            ]
            yield site.span(edit.start, edit.end, site.newline.join(text) + site.newline, "exception:protect", weight)
