"""Arguments exchanged or missing, a missing `await`, and what a call's result needs."""

from collections.abc import Iterator

from .base import Proposal, Site, on

_TEXTS = ("trim()", "toLowerCase()", "toString()")
_READING = ("arguments", "binary_expression", "subscript_expression", "return_statement", "variable_declarator")
_CHANGING = ("sort", "reverse", "splice")


def _arguments(site: Site) -> list[str]:
    given = site.get("arguments")
    if given is None or given.type not in site.program.syntax.arguments or given.named_child_count > 8:
        return []
    return [site.text(one) for one in given.named_children if one.type not in site.program.syntax.comments]


@on("call_expression", "new_expression", family="calls")
def arguments(site: Site) -> Iterator[Proposal]:
    given, texts = site.get("arguments"), _arguments(site)
    if given is None or not texts or any(len(text) > 200 for text in texts):
        return
    for first in range(len(texts) - 1):
        turned = [*texts[:first], texts[first + 1], texts[first], *texts[first + 2 :]]
        yield site.swap(given, f"({', '.join(turned)})", "arguments exchanged", 0.5)
    if len(texts) > 1:
        for left_out in range(len(texts)):
            rest = texts[:left_out] + texts[left_out + 1 :]
            yield site.swap(
                given, f"({', '.join(rest)})", "argument dropped", 0.12 + 0.08 * (left_out == len(texts) - 1)
            )


@on("call_expression", "new_expression", family="calls", language="javascript")
def argument_added(site: Site) -> Iterator[Proposal]:
    given, texts = site.get("arguments"), _arguments(site)
    if given is None or len(texts) > 3:
        return
    names = [name for name in site.place.function.parameters if name not in texts][:4]
    for name in names:
        yield site.swap(given, f"({', '.join([*texts, name])})", "argument added", 0.2)
    called = site.text(site.get("function"))
    if called == "parseInt" and len(texts) == 1:
        yield site.swap(given, f"({texts[0]}, 10)", "argument added", 0.4)
    if called.endswith(".reduce") and len(texts) == 1:
        for start in ("0", "''", "[]", "{}", "1"):
            yield site.swap(given, f"({texts[0]}, {start})", "first value added", 0.5)
    if called.endswith((".sort", ".toSorted")) and not texts:
        yield site.swap(given, "((a, b) => a - b)", "order given", 0.7)
        yield site.swap(given, "((a, b) => b - a)", "order given", 0.3)


@on("call_expression", family="calls", language="javascript")
def awaited(site: Site) -> Iterator[Proposal]:
    parent = site.place.parent
    if parent is None or parent.type == "await_expression" or not site.place.function.waits:
        return
    text = f"await {site.text(site.node)}"
    yield site.swap(site.node, f"({text})" if parent.type == "member_expression" else text, "await added", 0.7)


@on("await_expression", family="calls", language="javascript")
def not_awaited(site: Site) -> Iterator[Proposal]:
    if site.node.named_child_count == 1:
        yield site.swap(site.node, site.text(site.node.named_children[0]), "await dropped", 0.15)


@on("call_expression", family="calls", language="javascript")
def copied(site: Site) -> Iterator[Proposal]:
    """A method that changes its array works on a copy."""
    called = site.get("function")
    if called is None or called.type != "member_expression":
        return
    owner = called.child_by_field_name("object")
    if owner is not None and site.text(called.child_by_field_name("property")) in _CHANGING:
        yield site.swap(owner, f"[...{site.text(owner)}]", "array copied", 0.5)


@on("call_expression", family="calls")
def unwrapped(site: Site) -> Iterator[Proposal]:
    """The only argument, or the object of a method without arguments, in place of the call."""
    called, texts = site.get("function"), _arguments(site)
    parent = site.place.parent
    if called is None or parent is None or parent.type == "expression_statement":
        return
    if len(texts) == 1:
        yield site.swap(site.node, texts[0], "call dropped", 0.2)
    elif not texts and called.type == "member_expression":
        yield site.swap(site.node, site.text(called.child_by_field_name("object")), "call dropped", 0.3)


@on("identifier", "member_expression", family="calls", language="javascript")
def normalised(site: Site) -> Iterator[Proposal]:
    """A compared text or an argument without space or in lower case, a number from a text."""
    parent = site.place.parent
    if parent is None or parent.type not in _READING:
        return
    if parent.type == "variable_declarator" and parent.child_by_field_name("value") != site.node:
        return
    text = site.text(site.node)
    if len(text) > 60 or "\n" in text:
        return
    for call in _TEXTS:
        yield site.swap(site.node, f"{text}.{call}", "text normalised", 0.14)
    for wrapper in ("Number", "String"):
        yield site.swap(site.node, f"{wrapper}({text})", "converted", 0.14)


@on("identifier", family="calls", language="go")
def go_normalised(site: Site) -> Iterator[Proposal]:
    parent = site.place.parent
    if parent is None or parent.type != "argument_list" or "strings" not in site.program.imported:
        return
    for function in ("TrimSpace", "ToLower"):
        yield site.swap(site.node, f"strings.{function}({site.text(site.node)})", "text normalised", 0.14)
