"""How the grammars of JavaScript, TypeScript and Go name what operators look for.

To add a language: its grammar and the types of its nodes here, its suffixes in `SYNTAXES`, and what only it has as an
operator of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LANGUAGES = frozenset({"go", "javascript"})
"""The languages (`Language.name`) that can be repaired."""


def _javascript() -> object:
    import tree_sitter_javascript

    return tree_sitter_javascript.language()


def _typescript() -> object:
    import tree_sitter_typescript

    return tree_sitter_typescript.language_typescript()


def _tsx() -> object:
    import tree_sitter_typescript

    return tree_sitter_typescript.language_tsx()


def _go() -> object:
    import tree_sitter_go

    return tree_sitter_go.language()


@dataclass(frozen=True)
class Syntax:
    """The types of a grammar's nodes. `family` tells operators which language they work on; `statements` may be
    deleted; `blocks` hold statements; `declares` gives, for nodes that declare names, the fields with the names."""

    name: str
    family: str
    load: Callable[[], object]
    functions: frozenset[str]
    blocks: frozenset[str]
    statements: frozenset[str]
    numbers: frozenset[str]
    strings: frozenset[str]
    calls: frozenset[str]
    arguments: frozenset[str]
    members: Mapping[str, tuple[str, str]]
    """Types of accesses to members, with the fields of the object and of the member."""
    declares: Mapping[str, tuple[str, ...]]
    comments: frozenset[str] = frozenset({"comment"})
    types: frozenset[str] = field(default_factory=frozenset)
    """Nodes in which nothing is executed."""


_JS_FUNCTIONS = frozenset({
    "function_declaration", "function_expression", "arrow_function", "method_definition", "generator_function",
    "generator_function_declaration",
})  # fmt: skip
_JS_STATEMENTS = frozenset({
    "expression_statement", "if_statement", "for_statement", "for_in_statement", "while_statement", "throw_statement",
    "break_statement", "continue_statement", "return_statement",
})  # fmt: skip
_TS_TYPES = frozenset({
    "type_annotation", "type_arguments", "type_parameters", "interface_declaration", "type_alias_declaration",
    "ambient_declaration", "import_statement", "abstract_method_signature", "method_signature", "function_signature",
    "predefined_type",
})  # fmt: skip


def _script(name: str, load: Callable[[], object], types: frozenset[str]) -> Syntax:
    return Syntax(
        name,
        "javascript",
        load,
        functions=_JS_FUNCTIONS,
        blocks=frozenset({"statement_block"}),
        statements=_JS_STATEMENTS,
        numbers=frozenset({"number"}),
        strings=frozenset({"string"}),
        calls=frozenset({"call_expression", "new_expression"}),
        arguments=frozenset({"arguments"}),
        members={"member_expression": ("object", "property")},
        declares={
            "variable_declarator": ("name",),
            "function_declaration": ("name",),
            "class_declaration": ("name",),
            "for_in_statement": ("left",),
            "catch_clause": ("parameter",),
            "arrow_function": ("parameter",),
            "required_parameter": ("pattern",),
            "optional_parameter": ("pattern",),
        },
        types=types,
    )


JAVASCRIPT = _script("javascript", _javascript, frozenset({"import_statement"}))
TYPESCRIPT = _script("typescript", _typescript, _TS_TYPES)
TSX = _script("tsx", _tsx, _TS_TYPES)
GO = Syntax(
    "go",
    "go",
    _go,
    functions=frozenset({"function_declaration", "method_declaration", "func_literal"}),
    blocks=frozenset({"statement_list"}),
    statements=frozenset({
        "expression_statement", "assignment_statement", "inc_statement", "dec_statement", "if_statement",
        "for_statement", "break_statement", "continue_statement", "return_statement", "defer_statement",
        "go_statement", "send_statement",
    }),
    numbers=frozenset({"int_literal", "float_literal"}),
    strings=frozenset({"interpreted_string_literal", "raw_string_literal"}),
    calls=frozenset({"call_expression"}),
    arguments=frozenset({"argument_list"}),
    members={"selector_expression": ("operand", "field")},
    declares={
        "short_var_declaration": ("left",),
        "range_clause": ("left",),
        "var_spec": ("name",),
        "const_spec": ("name",),
        "parameter_declaration": ("name",),
        "variadic_parameter_declaration": ("name",),
        "function_declaration": ("name",),
    },
    types=frozenset({"import_declaration", "package_clause", "type_declaration"}),
)  # fmt: skip
SYNTAXES: Mapping[str, Syntax] = {
    ".js": JAVASCRIPT, ".mjs": JAVASCRIPT, ".cjs": JAVASCRIPT, ".jsx": JAVASCRIPT, ".ts": TYPESCRIPT,
    ".mts": TYPESCRIPT, ".cts": TYPESCRIPT, ".tsx": TSX, ".go": GO,
}  # fmt: skip
BY_NAME: Mapping[str, Syntax] = {syntax.name: syntax for syntax in (JAVASCRIPT, TYPESCRIPT, TSX, GO)}


def syntax_of(path: str) -> Syntax | None:
    """The syntax of a file by its suffix; None where no operator can edit it."""
    return SYNTAXES.get("." + path.rpartition(".")[2]) if "." in path.rpartition("/")[2] else None
