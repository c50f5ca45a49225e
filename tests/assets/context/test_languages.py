"""What each language's chunker finds in code of the kinds that people write."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.context.chunks import Chunk, cut, language_of, lines_of

JAVASCRIPT = """\
'use strict';
const LIMIT = 3;

/**
 * Adds two numbers.
 * @param {number} a
 */
export const add = (a, b) => {
  return a + b;
};

// Why this is here.
export default class Cart extends Base {
  items = [];

  /** Sums up. */
  total(rate = 1) {
    return this.items.reduce((sum, item) => sum + item.price, 0) * rate;
  }

  onClick = (event) => {
    this.items.push(event);
  };

  static #secret() {
    return 1;
  }
}

const api = {
  base: '/v1',
  async load(id) {
    return fetch(id);
  },
  save: function (id) {
    return id;
  },
};

exports.parse = function parse(text) {
  return text;
};

Cart.prototype.clear = function () {
  this.items = [];
};

const Row = React.memo(function Row(props) {
  return <tr onClick={() => props.go()}>{props.children}</tr>;
});

function* walk() {
  yield 1;
}

describe('cart', () => {
  it('adds', () => {
    function local() {}
  });
});
"""

TYPESCRIPT = """\
import { x } from './x';

export interface Shape<T> {
  area(): number;
}

export type Point = { x: number };

type Long = {
  a: string;
  b: string;
};

export abstract class Circle implements Shape<number> {
  private radius: number = 1;

  @memoize()
  public area(): number {
    return this.radius;
  }

  abstract grow(by: number): void;
}

export enum Colour {
  Red,
}

namespace Geometry {
  export function turn(by: number): void {
    by;
  }
}

declare module 'wide' {
  export function far(): void;
  export class Star {
    shine() {
      return 1;
    }
  }
}

export async function load<T>(id: string): Promise<T> {
  return null!;
}
"""

TSX = """\
type Props = { title: string };

export function Card({ title }: Props) {
  return <div className="card">{title}</div>;
}

export const Page: React.FC = () => {
  return <Card title="x" />;
};
"""

GO = """\
// Package shop sells.
package shop

import "fmt"

// Cart holds items.
type Cart struct {
	Items []string
}

type (
	// Key names one.
	Key string

	Pair[T any] struct {
		a, b T
	}
)

// Add puts an item in.
//
// It never fails.
func (c *Cart) Add(item string) error {
	return nil
}

func (p Pair[T]) First() T { return p.a }

func New() *Cart {
	return &Cart{}
}

var once = func() {}
"""

JAVA = """\
package shop;

import java.util.List;

/**
 * Holds items.
 */
@Entity
public final class Cart<T> extends Base implements Iterable<T> {
    private final List<T> items;

    public Cart(List<T> items) {
        this.items = items;
    }

    /** Sums up. */
    @Override
    public int total(int rate) throws IOException {
        return rate;
    }

    enum State {
        OPEN, CLOSED;

        State next() {
            return CLOSED;
        }
    }

    interface Visitor {
        void visit();
    }
}

record Point(int x, int y) {
    Point {
        check(x);
    }
}
"""

RUST = """\
//! Sells things.

use std::fmt;

/// Holds items.
#[derive(Debug)]
pub struct Cart<T> {
    items: Vec<T>,
}

impl<T: Clone> Cart<T> {
    /// Sums up.
    pub fn total(&self) -> u32 {
        0
    }
}

impl<T> fmt::Display for Cart<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        Ok(())
    }
}

pub trait Shape {
    fn area(&self) -> f64;

    fn double(&self) -> f64 {
        self.area() * 2.0
    }
}

macro_rules! square {
    ($x:expr) => { $x * $x };
}

pub async fn load(id: u32) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn works() {
        assert!(true);
    }
}
"""

C = """\
#include <stdio.h>

#define SWAP(a, b) \\
    do {           \\
        b = a;     \\
    } while (0)

struct point {
    int x;
};

typedef struct {
    int width;
} size_type;

enum colour { RED };

static int helper(void);

/* Adds two numbers. */
static int *add(int a, int b)
{
    return 0;
}

#ifdef DEBUG
void trace(const char *text) {
    puts(text);
}
#endif
"""

CPP = """\
#include <vector>

namespace shop::detail {

// Holds items.
template <typename T>
class EXPORT_API Cart : public Base {
 public:
  explicit Cart(int size) : size_(size) {}
  ~Cart() = default;
  int size() const { return size_; }
  bool operator==(const Cart& other) const {
    return true;
  }

 private:
  int size_;
};

int total(const std::vector<int>& items) {
  return 0;
}

}  // namespace shop::detail

SOME_MACRO_ALONE

void Window::Pane::draw(int x) {
  paint(x);
}

TEST(CartTest, AddsItems) {
  EXPECT_EQ(1, 1);
}

extern "C" {
int plain(void) { return 1; }
}
"""

RUBY = """\
# frozen_string_literal: true

require "json"

module Shop
  # Holds items.
  class Cart < Base
    attr_reader :items

    # Sums up.
    def total(rate = 1)
      items.sum * rate
    end

    def self.load(id)
      new(id)
    end

    private def secret?
      true
    end

    class << self
      def build
        new
      end
    end
  end

  Point = Struct.new(:x) do
    def double
      x * 2
    end
  end
end

def helper = 1
"""

EXPECTED = {
    "cart.jsx": (
        JAVASCRIPT,
        [
            ("module", ""),
            ("function", "add"),
            ("class", "Cart"),
            ("method", "Cart.total"),
            ("method", "Cart.onClick"),
            ("method", "Cart.secret"),
            ("class", "api"),
            ("method", "api.load"),
            ("method", "api.save"),
            ("function", "parse"),
            ("method", "Cart.clear"),
            ("function", "Row"),
            ("function", "walk"),
            ("module", ""),
        ],
    ),
    "shape.ts": (
        TYPESCRIPT,
        [
            ("module", ""),
            ("class", "Shape"),
            ("module", ""),
            ("class", "Long"),
            ("class", "Circle"),
            ("method", "Circle.area"),
            ("class", "Circle"),
            ("class", "Colour"),
            ("function", "Geometry.turn"),
            ("module", ""),
            ("class", "wide.Star"),
            ("method", "wide.Star.shine"),
            ("function", "load"),
        ],
    ),
    "page.tsx": (TSX, [("module", ""), ("function", "Card"), ("function", "Page")]),
    "cart.go": (
        GO,
        [
            ("module", ""),
            ("class", "Cart"),
            ("class", "Key"),
            ("class", "Pair"),
            ("method", "Cart.Add"),
            ("method", "Pair.First"),
            ("function", "New"),
            ("module", ""),
        ],
    ),
    "Cart.java": (
        JAVA,
        [
            ("module", ""),
            ("class", "Cart"),
            ("method", "Cart.Cart"),
            ("method", "Cart.total"),
            ("class", "Cart.State"),
            ("method", "Cart.State.next"),
            ("class", "Cart.Visitor"),
            ("method", "Cart.Visitor.visit"),
            ("class", "Point"),
            ("method", "Point.Point"),
        ],
    ),
    "cart.rs": (
        RUST,
        [
            ("module", ""),
            ("class", "Cart"),
            ("method", "Cart.total"),
            ("method", "Cart.fmt"),
            ("class", "Shape"),
            ("method", "Shape.double"),
            ("function", "square"),
            ("function", "load"),
            ("function", "tests.works"),
        ],
    ),
    "cart.c": (
        C,
        [
            ("module", ""),
            ("function", "SWAP"),
            ("class", "point"),
            ("class", "size_type"),
            ("class", "colour"),
            ("module", ""),
            ("function", "add"),
            ("module", ""),
            ("function", "trace"),
        ],
    ),
    "cart.cpp": (
        CPP,
        [
            ("module", ""),
            ("class", "shop.detail.Cart"),
            ("method", "shop.detail.Cart.Cart"),
            ("class", "shop.detail.Cart"),
            ("method", "shop.detail.Cart.size"),
            ("method", "shop.detail.Cart.operator=="),
            ("class", "shop.detail.Cart"),
            ("function", "shop.detail.total"),
            ("module", ""),
            ("method", "Window.Pane.draw"),
            ("method", "CartTest.AddsItems"),
            ("function", "plain"),
        ],
    ),
    "cart.rb": (
        RUBY,
        [
            ("module", ""),
            ("class", "Shop"),
            ("class", "Shop.Cart"),
            ("method", "Shop.Cart.total"),
            ("method", "Shop.Cart.load"),
            ("method", "Shop.Cart.secret?"),
            ("class", "Shop.Cart"),
            ("method", "Shop.Cart.build"),
            ("class", "Shop.Point"),
            ("method", "Shop.Point.double"),
            ("function", "helper"),
        ],
    ),
}


def chunks_of(path: str) -> list[Chunk]:
    return cut(EXPECTED[path][0].encode(), language_of(path))


def find(path: str, symbol: str) -> Chunk:
    return next(chunk for chunk in chunks_of(path) if chunk.symbol == symbol)


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
def test_a_definition_keeps_its_signature_and_the_comment_above_it(
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


@pytest.mark.parametrize(
    ("path", "text", "symbols"),
    [
        (
            "a.js",
            "function good() {\n  return 1;\n}\n\nfunction bad( {\n\nfunction later() {\n  return 2;\n}\n",
            {"good"},
        ),
        (
            "a.go",
            "package a\n\nfunc good() {}\n\n<<<<<<< HEAD\nfunc mine() {}\n=======\nfunc yours() {}\n",
            {"good", "mine"},
        ),
        ("a.java", "class A {\n  void good() {}\n  void bad( {\n  }\n}\n", {"A"}),
        ("a.rs", "fn good() {}\n\nfn bad( {\n\nfn later() {}\n", {"good"}),
        ("a.cpp", "int good() { return 1; }\nWEIRD(x) y z;\nint later() { return 2; }\n", {"good", "later"}),
        ("a.rb", "def good\n  1\nend\n\nclass Bad\n  def later\n    2\n  end\n", {"good"}),
    ],
)
def test_what_is_whole_in_a_broken_file_is_found(path: str, text: str, symbols: set[str]) -> None:
    assert symbols <= {chunk.symbol for chunk in cut(text.encode(), language_of(path))}


def test_a_header_is_read_as_cpp_only_when_it_can_be_nothing_else() -> None:
    plain = b"/* a class of things */\nstruct list {\n  int class;\n  int size;\n};\n"
    assert [chunk.symbol for chunk in cut(plain, language_of("list.h"))][-1] == "list"
    modern = b"#pragma once\nnamespace a {\nclass List {\n public:\n  int size() { return 1; }\n};\n}\n"
    assert [chunk.symbol for chunk in cut(modern, language_of("list.h"))] == ["", "a.List", "a.List.size"]


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A real source with some spans left out, doubled, or replaced by brackets, quotes and noise."""
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, len(text)))
        last = min(len(text), first + draw(st.integers(0, 80)))
        instead = draw(
            st.sampled_from(["", text[first:last] * 2, "{", "}", "(", '"', "/*", "`", "<<A\n", "\r\n", "\0", "é\u2028"])
        )
        text = text[:first] + instead + text[last:]
    return text


@pytest.mark.parametrize("path", EXPECTED)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_every_line_of_a_damaged_source_is_in_exactly_one_chunk(path: str, data: st.DataObject) -> None:
    content = data.draw(damaged(EXPECTED[path][0])).encode()
    lines = lines_of(content)
    chunks = cut(content, language_of(path))
    assert all(chunk.symbol or chunk.kind in ("module", "window") for chunk in chunks)
    covered = [n for chunk in chunks for n in range(chunk.start_line, chunk.end_line + 1)]
    assert covered == sorted(set(covered))
    assert {n for n, line in enumerate(lines, 1) if line.strip()} <= set(covered) <= set(range(1, len(lines) + 1))


@pytest.mark.parametrize("path", EXPECTED)
def test_a_file_is_cut_alike_each_time_and_with_any_line_ends(path: str) -> None:
    text = EXPECTED[path][0]
    chunks = cut(text.encode(), language_of(path))
    assert cut(text.encode(), language_of(path)) == chunks
    windows = cut(text.replace("\n", "\r\n").encode(), language_of(path))
    assert [(c.kind, c.symbol, c.start_line, c.end_line) for c in windows] == [
        (c.kind, c.symbol, c.start_line, c.end_line) for c in chunks
    ]


@pytest.mark.parametrize("path", EXPECTED)
def test_definitions_nested_without_end_are_cut_like_any_file(path: str) -> None:
    opening = {"cart.go": "func f() { func() {\n", "cart.rb": "module M\n", "cart.c": "struct s {\n"}
    text = opening.get(path, "class A {\n") * 3000
    assert sum(c.end_line - c.start_line + 1 for c in cut(text.encode(), language_of(path))) == 3000


@pytest.mark.parametrize(
    ("path", "lines", "symbols"),
    [
        ("cart.jsx", 32, {"add", "Cart.total", "load"}),
        ("cart.go", 13, {"Cart", "Key"}),
        ("Cart.java", 17, {"Cart"}),
        ("cart.cpp", 9, {"Cart"}),
        ("cart.rb", 19, {"total", "load"}),
    ],
)
def test_a_file_that_ends_in_the_middle_is_read_as_far_as_it_goes(path: str, lines: int, symbols: set[str]) -> None:
    text = "\n".join(EXPECTED[path][0].split("\n")[:lines])
    assert symbols <= {chunk.symbol for chunk in cut(text.encode(), language_of(path))}
