"""Which special methods failures ask for: from the interpreter's messages, and from operations in the failing tests."""

import ast
import re
import textwrap

_BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "|": "or", "&": "and", "^": "xor", "<<": "lshift", ">>": "rshift",
}  # fmt: skip
_MESSAGES = (
    (r"object of type '(\w+)' has no len\(\)", "__len__"),
    (r"'(\w+)' object is not iterable", "__iter__"),
    (r"argument of type '(\w+)' is not (?:iterable|a container)", "__contains__"),
    (r"'(\w+)' object is not subscriptable", "__getitem__"),
    (r"'(\w+)' object is not reversible", "__reversed__"),
    (r"unhashable type: '(\w+)'", "__hash__"),
    (r"'(\w+)' object does not support the context manager protocol", "__enter__"),
    (r"expected str, bytes or os.PathLike object, not (\w+)", "__fspath__"),
)
_OPERATORS: dict[type[ast.operator], str] = {
    ast.BitOr: "__ior__", ast.Add: "__iadd__", ast.Sub: "__isub__", ast.BitAnd: "__iand__", ast.BitXor: "__ixor__",
}  # fmt: skip
_CALLS = {
    "copy": ("__copy__", "__reduce__"), "deepcopy": ("__deepcopy__", "__reduce__"), "dumps": ("__reduce__",),
    "hash": ("__hash__",), "len": ("__len__",), "reversed": ("__reversed__",), "fspath": ("__fspath__",),
}  # fmt: skip


def missing_protocols(text: str) -> set[tuple[str, str]]:
    """(class, special method) pairs whose absence a message reports."""
    found = {(match[1], method) for pattern, method in _MESSAGES for match in re.finditer(pattern, text)}
    for match in re.finditer(r"unsupported operand type\(s\) for (\S{1,3}?)(=?): '(\w+)' and '(\w+)'", text):
        name = _BINARY.get(match[1])
        if name and match[2]:
            found.add((match[3], f"__i{name}__"))
        if name:
            found |= {(match[3], f"__{name}__"), (match[4], f"__r{name}__")}
    return found


def used_protocols(source: str) -> set[str]:
    """Special methods of operations that a test's source uses, as far as they can be missing unnoticed: an inherited
    method of a library's container does the work then, but does not know what the class adds."""
    try:
        tree = ast.parse(textwrap.dedent(source))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign):
            found |= {_OPERATORS[kind] for kind in [type(node.op)] if kind in _OPERATORS}
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found |= set(_CALLS.get(name, ()))
    return found
