"""Typical code in each language, with its definitions."""

from assets.context.chunking.chunks import Chunk, cut, language_of

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
