"""What each language's chunker finds in typical code."""

import pytest

from assets.context.chunking.chunks import cut, language_of
from tests.assets.context.language_cases import EXPECTED, chunks_of, find


@pytest.mark.parametrize("path", EXPECTED)
def test_a_language_is_cut_by_its_definitions(path: str) -> None:
    assert [(chunk.kind, chunk.symbol) for chunk in chunks_of(path)] == EXPECTED[path][1]


@pytest.mark.parametrize(
    ("path", "symbol", "signature", "docstring"),
    [
        ("cart.jsx", "add", "export const add = (a, b)", "Adds two numbers.\n@param {number} a"),
        ("cart.jsx", "Cart", "export default class Cart extends Base", "Why this is here."),
        ("cart.jsx", "Cart.total", "total(rate = 1)", "Sums up."),
        ("shape.ts", "Circle", "export abstract class Circle implements Shape<number>", ""),
        ("shape.ts", "Circle.area", "public area(): number", ""),
        ("shape.ts", "load", "export async function load<T>(id: string): Promise<T>", ""),
        ("cart.go", "", "", "Package shop sells."),
        ("cart.go", "Cart", "type Cart struct", "Cart holds items."),
        ("cart.go", "Cart.Add", "func (c *Cart) Add(item string) error", "Add puts an item in.\n\nIt never fails."),
        ("Cart.java", "Cart", "public final class Cart<T> extends Base implements Iterable<T>", "Holds items."),
        ("Cart.java", "Cart.total", "public int total(int rate) throws IOException", "Sums up."),
        ("cart.rs", "", "", "Sells things."),
        ("cart.rs", "Cart", "pub struct Cart<T>", "Holds items."),
        ("cart.rs", "Cart.total", "pub fn total(&self) -> u32", "Sums up."),
        ("cart.c", "add", "static int *add(int a, int b)", "Adds two numbers."),
        ("cart.c", "point", "struct point", ""),
        ("cart.cpp", "shop.detail.Cart", "template <typename T> class EXPORT_API Cart : public Base", "Holds items."),
        ("cart.cpp", "Window.Pane.draw", "void Window::Pane::draw(int x)", ""),
        ("cart.rb", "", "", "frozen_string_literal: true"),
        ("cart.rb", "Shop.Cart", "class Cart < Base", "Holds items."),
        ("cart.rb", "Shop.Cart.total", "def total(rate = 1)", "Sums up."),
    ],
)
def test_a_definition_has_its_signature_and_the_comment_above_it(
    path: str, symbol: str, signature: str, docstring: str
) -> None:
    chunk = find(path, symbol)
    assert (chunk.signature, chunk.docstring) == (signature, docstring)


def test_the_comment_and_the_attributes_above_are_part_of_a_definition() -> None:
    assert find("cart.rs", "Cart").text.startswith("/// Holds items.\n#[derive(Debug)]\npub struct")
    assert find("Cart.java", "Cart.total").text.startswith("    /** Sums up. */\n    @Override\n")
    assert find("shape.ts", "Circle.area").text.startswith("  @memoize()\n")
    assert find("cart.go", "Cart.Add").text.startswith("// Add puts an item in.\n")


def test_a_closing_bracket_stays_with_what_it_closes_and_an_opening_line_with_what_it_opens() -> None:
    assert find("Cart.java", "Point.Point").text.endswith("    }\n}")
    assert find("cart.rs", "Cart.fmt").text.startswith("impl<T> fmt::Display for Cart<T> {\n")
    assert find("shape.ts", "Geometry.turn").text.startswith("namespace Geometry {\n")


def test_a_trailing_comment_belongs_to_its_own_line() -> None:
    chunks = cut(b"const a = 1; // one\nfunction b() {\n  return a;\n}\n", language_of("a.js"))
    assert [(chunk.symbol, chunk.start_line, chunk.docstring) for chunk in chunks] == [("", 1, ""), ("b", 2, "")]


def test_functions_in_an_old_module_wrapper_are_found() -> None:
    for text in (
        "(function (root) {\n  'use strict';\n  function inner() {\n    return 1;\n  }\n}(this));\n",
        "(function (root, factory) {\n  factory(root);\n})(this, function (x) {\n  function inner() {}\n});\n",
        "define(['a'], function (a) {\n  function inner() {\n    return a;\n  }\n});\n",
        ";(function () {\n  function inner() {}\n}).call(this);\n",
    ):
        assert "inner" in {chunk.symbol for chunk in cut(text.encode(), language_of("old.js"))}, text


def test_functions_in_nested_objects_are_named_by_their_keys() -> None:
    text = "export default {\n  name: 'x',\n  methods: {\n    save() {\n      return 1;\n    },\n  },\n};\n"
    symbols = [chunk.symbol for chunk in cut(text.encode(), language_of("view.js"))]
    assert symbols == ["default", "default.methods", "default.methods.save"]


@pytest.mark.parametrize(
    ("path", "opening", "test", "closing"),
    [
        ("cart.test.js", "describe('cart', () => {", "  it('works {n}', async () => {{\n{body}  }});\n", "});"),
        ("cart_spec.rb", "describe Cart do", "  it 'works {n}' do\n{body}  end\n", "end"),
    ],
)
def test_the_tests_of_a_long_block_are_pieces_of_module_code(path: str, opening: str, test: str, closing: str) -> None:
    body = "".join(f"    expect({n})\n" for n in range(12))
    text = f"{opening}\n{''.join(test.format(n=n, body=body) for n in range(4))}{closing}\n"
    chunks = cut(text.encode(), language_of(path))
    assert [(c.kind, c.symbol, c.start_line, c.end_line) for c in chunks] == [
        ("module", "", 1, 15), ("module", "", 16, 29), ("module", "", 30, 43), ("module", "", 44, 58),
    ]  # fmt: skip
    assert chunks[1].signature.startswith("it") and "works 1" in chunks[1].signature
    short = f"{opening}\n{test.format(n=0, body=body)}{closing}\n"
    assert [c.kind for c in cut(short.encode(), language_of(path))] == ["module"]


def test_callbacks_in_a_long_function_stay_with_it() -> None:
    callback = "  each((x) => {\n" + "    use(x);\n" * 12 + "  });\n"
    chunks = cut(f"function long() {{\n{callback * 12}}}\n".encode(), language_of("a.js"))
    assert {chunk.symbol for chunk in chunks} == {"long"}


def test_a_long_function_is_cut_by_the_functions_in_it() -> None:
    filler = "".join(f"  use({n});\n" for n in range(60))
    inner = "".join(f"    use({n});\n" for n in range(10))
    text = f"function outer() {{\n{filler}  function first() {{\n{inner}  }}\n{filler}  const tiny = () => 1;\n}}\n"
    chunks = cut(text.encode(), language_of("long.js"))
    assert [chunk.symbol for chunk in chunks] == ["outer", "outer.first", "outer"]


def test_a_header_is_read_as_cpp_only_when_it_can_be_nothing_else() -> None:
    plain = b"/* a class of things */\nstruct list {\n  int class;\n  int size;\n};\n"
    assert [chunk.symbol for chunk in cut(plain, language_of("list.h"))][-1] == "list"
    modern = b"#pragma once\nnamespace a {\nclass List {\n public:\n  int size() { return 1; }\n};\n}\n"
    assert [chunk.symbol for chunk in cut(modern, language_of("list.h"))] == ["", "a.List", "a.List.size"]
