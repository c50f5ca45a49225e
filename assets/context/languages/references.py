"""The names that a piece of code uses, for a graph of definitions and references.

Read from the text alone by one expression for each family of languages: names in comments and strings
do not count, nor do keywords. What a name refers to is for the graph to find out; most local variables
name no definition and drop out there.
"""

import re
from collections.abc import Mapping

MOST = 256
"""Names of one chunk, the first ones."""

_NAME = r"(?P<name>[^\W\d]\w{1,79})"
# What is not closed ends with the line or the text, so that no text is read twice.
_QUOTED = r"'(?:[^'\\\n]|\\.)*+'?|\"(?:[^\"\\\n]|\\.)*+\"?"
_BLOCK_COMMENT = r"/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|//[^\n]*"
_TRIPLE = r"'''(?:[^'\\]|\\.|'(?!''))*+(?:'''|\Z)|\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*+(?:\"\"\"|\Z)"

_PYTHON = re.compile(rf"\#[^\n]*|{_TRIPLE}|{_QUOTED}|{_NAME}", re.DOTALL)
_BRACES = re.compile(rf"{_BLOCK_COMMENT}|{_QUOTED}|{_NAME}", re.DOTALL)
_BACKTICKS = re.compile(rf"{_BLOCK_COMMENT}|{_QUOTED}|`[^`]*+(?:`|\Z)|{_NAME}", re.DOTALL)
# A single quote in Rust may begin a lifetime, which has no end.
_RUST = re.compile(rf"{_BLOCK_COMMENT}|\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|'(?:[^'\\\n]|\\[^\n]{{1,8}})'|{_NAME}", re.DOTALL)
_RUBY = re.compile(rf"\#(?!\{{)[^\n]*|{_QUOTED}|{_NAME}", re.DOTALL)
_FAMILIES: Mapping[str, re.Pattern[str]] = {
    "python": _PYTHON,
    "javascript": _BRACES,
    "typescript": _BRACES,
    "tsx": _BRACES,
    "go": _BACKTICKS,
    "java": _BRACES,
    "rust": _RUST,
    "c": _BRACES,
    "c-header": _BRACES,
    "cpp": _BRACES,
    "ruby": _RUBY,
}

_C = """auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while define
ifdef ifndef endif elif include undef pragma NULL size_t true false"""
_JAVASCRIPT = """async await break case catch class const continue debugger default delete do else export extends
finally for from function get if import in instanceof let new null of return set static super switch this throw true
false try typeof undefined var void while with yield"""
_WORDS = {
    "python": """False None True and as assert async await break case class continue def del elif else except finally
for from global if import in is lambda match nonlocal not or pass raise return self cls try while with yield""",
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT
    + """ abstract any as asserts bigint boolean declare enum implements infer interface is keyof
namespace never number object private protected public readonly satisfies string symbol type unique unknown""",
    "go": """break case chan const continue default defer else fallthrough for func go goto if import interface map
package range return select struct switch type var nil true false string int int64 uint64 byte bool error any""",
    "java": """abstract assert boolean break byte case catch char class const continue default do double else enum
extends final finally float for goto if implements import instanceof int interface long native new null package
private protected public record return short static strictfp super switch synchronized this throw throws transient
true false try var void volatile while String""",
    "rust": """as async await break const continue crate dyn else enum extern false fn for if impl in let loop match
mod move mut pub ref return self Self static struct super trait true type unsafe use where while bool str u8 u16 u32
u64 usize i8 i16 i32 i64 isize f32 f64 Some None Ok Err""",
    "c": _C,
    "cpp": _C
    + """ alignas alignof bool catch class concept consteval constexpr constinit const_cast decltype delete
dynamic_cast explicit export final friend mutable namespace new noexcept nullptr operator override private protected
public reinterpret_cast requires static_assert static_cast template this thread_local throw try typeid typename using
virtual wchar_t std""",
    "ruby": """alias and begin break case class def defined do else elsif end ensure false for if in module next nil
not or redo rescue retry return self super then true undef unless until when while yield require require_relative
attr_reader attr_accessor attr_writer private protected public""",
}
_KEYWORDS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {**_WORDS, "tsx": _WORDS["typescript"], "c-header": _WORDS["cpp"]}.items()
}


def references(text: str, language: str, name: str = "") -> tuple[str, ...]:
    """The names of two letters or more that code of this language uses, each once, in order of first use.

    `language` is a `chunks.Language.name`; of text in other languages there are none. `name` is the
    chunk's own, and is left out. At most `MOST`.
    """
    family = _FAMILIES.get(language)
    if family is None:
        return ()
    found = dict.fromkeys(family.findall(text))
    keywords = _KEYWORDS[language]
    used = [word for word in found if word and word not in keywords and word != name]
    return tuple(used[:MOST])
