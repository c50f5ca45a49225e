"""Imports that an edit needs: where they go, and what a module is called from another one."""

import ast

from .base import Proposal, Site


def import_edit(site: Site, line: str) -> Proposal | None:
    """`line` added to the file's imports, in order where they are ordered."""
    body = site.source.tree.body
    imports = [
        s
        for s in body
        if isinstance(s, ast.Import | ast.ImportFrom)
        and not (isinstance(s, ast.ImportFrom) and s.module == "__future__")
    ]
    module, _, name = line.removeprefix("from ").partition(" import ")
    for known in imports:
        if name and isinstance(known, ast.ImportFrom) and "." * known.level + (known.module or "") == module:
            end = site.source.span(known.names[-1])[1]
            return site.span(end, end, f", {name}", "import:add", 0.3) if known.names[-1].name != "*" else None
    if imports:
        later = [
            s
            for s in imports
            if site.code(s) > line
            and isinstance(s, ast.Import) == line.startswith("import")
            and not module.startswith(".")
        ]
        return (
            site.before(later[0], [line], "import:add", 0.3)
            if later
            else site.after(imports[-1], [line], "import:add", 0.3)
        )
    for statement in body:
        documented = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not documented and not future:
            return site.before(statement, [line, ""], "import:add", 0.3)
    return None


def module_path(here: str, there: str) -> str:
    """The import path of one file as seen from another: relative inside the same package, else absolute."""
    parts = there.removesuffix(".py").removesuffix("/__init__").split("/")
    own = here.split("/")[:-1]
    if own and parts[: len(own)] == own and len(parts) > len(own):
        return "." + ".".join(parts[len(own) :])
    return ".".join(parts[1:] if parts[0] in ("src", "lib") else parts)
