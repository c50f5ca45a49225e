"""A small expression language for spreadsheet-like formulas."""

from tokenmill.evaluate import EvalError, evaluate
from tokenmill.lexer import LexError, tokenize
from tokenmill.parser import ParseError, parse
from tokenmill.render import render

__all__ = ["EvalError", "LexError", "ParseError", "evaluate", "parse", "render", "tokenize"]
