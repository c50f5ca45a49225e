"""Bounds on code from an issue: its size, and what it may do, since a test made of it goes into the patch.

It is executed in the sandbox only, but whoever tries the patch runs the test. So it may use the project, the packages
that the project itself uses, and parts of the standard library that reach no file, process or network.
"""

import ast
from collections.abc import Collection

MOST_CODE = 4_000
MOST_LINES = 80
MOST_LITERAL = 1_000

HARMLESS = frozenset(
    {
        "__future__", "abc", "array", "base64", "bisect", "calendar", "cmath", "collections", "colorsys",
        "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools",
        "hashlib", "heapq", "html", "io", "itertools", "json", "math", "numbers", "operator", "pathlib", "pickle",
        "pprint", "random", "re", "statistics", "string", "textwrap", "time", "types", "typing", "unicodedata",
        "unittest", "urllib", "uuid", "warnings", "zoneinfo",
    }
)  # fmt: skip
"""Modules of the standard library that such code may import."""
_REACHING = frozenset(
    {
        "open", "exec", "eval", "compile", "input", "breakpoint", "exit", "quit", "globals", "locals", "vars",
        "getattr", "setattr", "delattr", "help", "memoryview",
    }
)  # fmt: skip
_MODULES = frozenset(
    {
        "os", "sys", "subprocess", "shutil", "socket", "importlib", "builtins", "ctypes", "multiprocessing", "posix",
        "pty", "signal", "tempfile", "runpy", "asyncio", "threading", "webbrowser", "urlopen", "urlretrieve", "system",
        "popen", "mock",
    }
)  # fmt: skip
"""Modules that reach beyond the program, also as attributes of others, and their functions."""
_FILES = frozenset(
    {
        "open", "write_text", "write_bytes", "read_text", "read_bytes", "unlink", "rmdir", "mkdir", "touch", "rename",
        "replace", "symlink_to", "hardlink_to", "chmod", "iterdir", "glob", "rglob",
    }
)  # fmt: skip
"""Methods of paths that reach files."""
_PLAIN_DUNDERS = frozenset(
    {
        "__init__", "__name__", "__doc__", "__len__", "__eq__", "__hash__", "__repr__", "__str__", "__iter__",
        "__next__", "__call__", "__getitem__", "__setitem__", "__delitem__", "__contains__", "__enter__", "__exit__",
        "__add__", "__sub__", "__mul__", "__lt__", "__le__", "__gt__", "__ge__", "__ne__", "__bool__", "__post_init__",
        "__version__", "__main__", "__copy__", "__deepcopy__", "__kwdefaults__", "__defaults__", "__slots__",
    }
)  # fmt: skip


def parsed(code: str) -> ast.Module | None:
    """The syntax tree of code from an issue; None when it is too long or does not parse."""
    if len(code) > MOST_CODE or code.count("\n") > MOST_LINES or "\0" in code:
        return None
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def is_expression(code: str) -> bool:
    """Whether the code is one expression."""
    tree = parsed(code)
    return tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)


def literal(text: str) -> tuple[object] | None:
    """The value of a literal, in a tuple; None for anything else. Nothing is executed."""
    if len(text) > MOST_LITERAL:
        return None
    try:
        return (ast.literal_eval(text.strip()),)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def refusal(tree: ast.Module, allowed: Collection[str]) -> str | None:
    """Why the code is not used in a test, as the end of "it …"; None when it may be. `allowed` are the top-level
    packages of the project and of what it uses."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    modules = [module for node in nodes for module in _modules(node)]
    tops = {module.partition(".")[0] for module in modules}
    brought = {a.name for node in nodes if isinstance(node, ast.ImportFrom) for a in node.names}
    if dunders := sorted(n for n in names | attributes if _is_dunder(n) and n not in _PLAIN_DUNDERS):
        return f"uses `{dunders[0]}`"
    if reaching := sorted(names & _REACHING | (names | attributes | brought) & _MODULES):
        return f"uses `{reaching[0]}`, which reaches beyond the program"
    paths = "pathlib" in tops | names or names & {"Path", "PurePath"}
    if paths and (files := sorted(attributes & _FILES)):
        return f"uses `{files[0]}`, which reaches files"
    for module in modules:
        if module.partition(".")[0] not in HARMLESS | set(allowed) or module.startswith(("urllib.request", ".")):
            return f"imports `{module}`, which neither the project nor what it uses has"
    if any(isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith) for node in nodes):
        return "needs an event loop"
    binary = any(isinstance(node, ast.Constant) and isinstance(node.value, bytes) for node in nodes)
    return "loads a pickle from the text" if binary and "pickle" in tops | names else None


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and len(name) > 4


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [("." * node.level) + (node.module or "")] if node.level else [node.module or ""]
    return []
