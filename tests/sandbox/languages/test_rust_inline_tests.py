"""Which changes of a Rust source file touch its tests."""

import pytest

from sandbox.environments.languages.rust_inline_tests import has_test_code
from sandbox.environments.languages.rust_inline_tests import test_code_changed as changed

CODE = """//! A crate.
use std::fmt;

/// Adds.
pub fn add(a: i32, b: i32) -> i32 { a - b }

#[derive(Debug)]
pub struct Tested { pub test: i32 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds() { assert_eq!(add(1, 2), 3, "}} #[cfg(test)]"); }
}
"""


@pytest.mark.parametrize(("before", "after"), [
    ("a - b", "a + b"),
    ("use std::fmt;", "use std::fmt;\n\nfn more(test: &'static str) -> char { let _ = test; '\"' }"),
    ("/// Adds.", "/// Adds two numbers, which a test checks: `cfg!(test)`."),
    ("    use super::*;\n", "    // all of it\n    use super::*;\n\n"),
    ("#[derive(Debug)]", "#[derive(Debug, Clone)]"),
    ("use std::fmt;", '#[cfg(feature = "test-util")]\npub mod util;'),
])  # fmt: skip
def test_a_change_of_the_code_alone_is_none_of_its_tests(before, after):
    assert before in CODE
    assert not changed(CODE, CODE.replace(before, after))


@pytest.mark.parametrize(("before", "after"), [
    ("3, ", "-1, "),
    ("#[test]", "#[test]\n    #[ignore]"),
    ("    #[test]\n", ""),
    ("#[cfg(test)]\n", '#[cfg(all(test, feature = "never"))]\n'),
    ("#[cfg(test)]\nmod tests", "#[cfg(any())]\nmod tests"),
    ("{ a - b }", "{ if cfg!(test) { 3 } else { a - b } }"),
    ("{ a - b }", "{ #[cfg(test)] return 3; a - b }"),
    ("pub fn add", "#[cfg(not(test))]\npub fn add"),
    ("#[derive(Debug)]", "#[cfg_attr(test, derive(PartialEq))]\n#[derive(Debug)]"),
    ("use std::fmt;", "use std::fmt;\n#[tokio::test]\nasync fn waits() {}"),
    ("use std::fmt;", "#[cfg(test)]\nuse std::fmt;"),
    ("use std::fmt;", "macro_rules! only { () => { #[cfg(test)] fn it() {} } }"),
    ("use std::fmt;", "cfg_if! { if #[cfg(test)] { fn it() {} } }"),
    ("//! A crate.", "#![cfg(test)]"),
    ("use std::fmt;", "proptest! { fn adds_up(a in 0..9) { } }"),
])  # fmt: skip
def test_a_change_of_tests_or_of_what_depends_on_them_is_seen(before, after):
    assert before in CODE
    assert changed(CODE, CODE.replace(before, after, 1))


def test_a_file_that_is_new_or_gone_counts_if_it_has_tests():
    assert changed("", CODE) and changed(CODE, "")
    assert not changed("", "pub fn f() {}\n")
    assert has_test_code(CODE) and not has_test_code("pub fn f() {}\n")


def test_text_that_does_not_parse_is_compared_all_the_same():
    broken = CODE.replace("{ a - b }", "{ a - ")
    assert changed(broken, broken.replace("3, ", "4, "))
