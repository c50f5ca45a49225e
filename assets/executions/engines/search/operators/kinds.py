"""What kind of value a name or expression most likely has, guessed from the source: good enough to order edits."""

import ast

from assets.executions.engines.search.source import Function

from .index import simple_name

NUMBER, TEXT, LIST, MAPPING, SET, TRUTH = "number", "text", "list", "mapping", "set", "truth"
_CALLS = {
    **dict.fromkeys(("len", "int", "sum", "abs", "round", "float", "ord", "count", "index", "find", "hash", "ceil"),
        NUMBER),
    **dict.fromkeys(("total_seconds", "floor", "sqrt", "time", "perf_counter", "monotonic", "Decimal"), NUMBER),
    **dict.fromkeys(("str", "repr", "join", "strip", "lower", "upper", "replace", "format", "rstrip", "lstrip",
        "title"), TEXT),
    **dict.fromkeys(("capitalize", "decode", "read", "removeprefix", "removesuffix", "zfill", "isoformat",
        "strftime"), TEXT),
    **dict.fromkeys(("list", "sorted", "split", "splitlines", "findall", "readlines", "deque"), LIST),
    **dict.fromkeys(("dict", "defaultdict", "Counter", "OrderedDict"), MAPPING),
    **dict.fromkeys(("set", "frozenset"), SET),
    **dict.fromkeys(("bool", "isinstance", "any", "all", "startswith", "endswith", "isdigit", "isalpha", "exists"),
        TRUTH),
}  # fmt: skip
_ANNOTATIONS = {
    "int": NUMBER, "float": NUMBER, "Decimal": NUMBER, "str": TEXT, "list": LIST, "List": LIST, "Sequence": LIST,
    "tuple": LIST,
    "dict": MAPPING, "Dict": MAPPING, "Mapping": MAPPING, "set": SET, "Set": SET, "bool": TRUTH, "Iterable": LIST,
}  # fmt: skip


def of_annotation(node: ast.AST | None) -> str | None:
    """The kind that an annotation names; None for optional and unknown ones."""
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        return _ANNOTATIONS.get(node.id)
    return None


def of_expression(node: ast.AST | None, known: dict[str, str]) -> str | None:
    """The kind of an expression; `known` maps names and `self.x` to theirs."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            return TRUTH
        return NUMBER if isinstance(node.value, int | float) else TEXT if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return TEXT
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return known.get(f"{node.value.id}.{node.attr}")
    if isinstance(node, ast.List | ast.ListComp):
        return LIST
    if isinstance(node, ast.Dict | ast.DictComp):
        return MAPPING
    if isinstance(node, ast.Set | ast.SetComp):
        return SET
    if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return TRUTH
    if isinstance(node, ast.UnaryOp):
        return NUMBER
    if isinstance(node, ast.BinOp):
        left, right = of_expression(node.left, known), of_expression(node.right, known)
        if isinstance(node.op, ast.Add):
            return left or right
        if isinstance(node.op, ast.Mod) and left == TEXT:
            return TEXT
        if isinstance(node.op, ast.Mult) and (left in (TEXT, LIST) or right in (TEXT, LIST)):
            return left if left in (TEXT, LIST) else right
        return left if isinstance(node.op, ast.BitAnd | ast.BitOr | ast.Sub) and left == SET else NUMBER
    if isinstance(node, ast.IfExp):
        return of_expression(node.body, known) or of_expression(node.orelse, known)
    if isinstance(node, ast.Call):
        name = simple_name(node.func)
        if name in ("min", "max") and node.args:
            return of_expression(node.args[0], known) if len(node.args) > 1 else None
        return _CALLS.get(name)
    return None


def of_names(function: Function | None, owner: ast.ClassDef | None) -> dict[str, str]:
    """Kinds of a function's parameters and locals, and of `self.x` as `__init__` and annotations give them."""
    known: dict[str, str] = {}
    if owner is not None:
        for item in owner.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                _note(
                    known, f"self.{item.target.id}", of_annotation(item.annotation) or of_expression(item.value, known)
                )
            elif isinstance(item, ast.FunctionDef) and item.name == "__init__":
                own = _parameters(item)
                for node in ast.walk(item):
                    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                        _note(known, f"self.{node.targets[0].attr}", of_expression(node.value, {**known, **own}))
                    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                        kind = of_annotation(node.annotation) or of_expression(node.value, {**known, **own})
                        _note(known, f"self.{node.target.attr}", kind)
    if function is None:
        return known
    known.update(_parameters(function))
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            _note(known, node.targets[0].id, of_expression(node.value, known))
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Tuple)
        ):
            for target, value in zip(node.targets[0].elts, node.value.elts, strict=False):
                if isinstance(target, ast.Name):
                    _note(known, target.id, of_expression(value, known))
        elif (
            isinstance(node, ast.For | ast.comprehension)
            and isinstance(node.iter, ast.Call)
            and isinstance(node.iter.func, ast.Name)
        ):
            if node.iter.func.id == "range" and isinstance(node.target, ast.Name):
                _note(known, node.target.id, NUMBER)
            elif (
                node.iter.func.id == "enumerate"
                and isinstance(node.target, ast.Tuple)
                and isinstance(node.target.elts[0], ast.Name)
            ):
                _note(known, node.target.elts[0].id, NUMBER)
    return known


def _parameters(function: Function) -> dict[str, str]:
    known: dict[str, str] = {}
    arguments = [*function.args.posonlyargs, *function.args.args]
    defaults = function.args.defaults
    pairs = list(zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True))
    pairs += [(a, d) for a, d in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if d is not None]
    for argument, default in pairs:
        _note(known, argument.arg, of_expression(default, {}))
    for argument in (*arguments, *function.args.kwonlyargs):
        _note(known, argument.arg, of_annotation(argument.annotation))
    return known


def _note(known: dict[str, str], name: str, kind: str | None) -> None:
    if kind is not None:
        known.setdefault(name, kind)
