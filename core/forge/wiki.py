"""Markdown as the wiki markup of Jira (https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all).

Text stays text: what would be markup, a macro (`{code}`) or a mention (`[~name]`) there is escaped, also inside of code
as far as Jira would read it. Jira knows no code span or block whose content is wholly left alone.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

_JOINER = "\N{WORD JOINER}"
_LANGUAGES = frozenset(
    {
        *("bash", "c", "css", "go", "groovy", "html", "java", "javascript", "json", "perl", "php", "python", "r"),
        *("ruby", "scala", "sh", "sql", "swift", "xml", "yaml"),
    }
)
"""Those that Jira Data Center highlights; for any other it shows an error."""
_URL = re.compile(r"https?://[^\s<>\[\]|{}\\\"'`]+")
_AFTER_URL = ".,;:!?)*_"
_ICON = re.compile(r"\((?:[xyni/!?+-]|on|off|\*[rgby]?|flag|flagoff)\)")
_LINE_MACRO = re.compile(r"(?:h[1-6]|bq)(?=\.)")
_TAG = re.compile(r"<!--.*?(?:-->|\Z)|<[^<>]*>", re.DOTALL)
_END_OF_CODE = re.compile(r"\{(?=code|noformat)", re.IGNORECASE)
_UNSAFE_IN_URL = {character: f"%{ord(character):02X}" for character in '|[]{}\\^!"<>` '}
_PHRASES = {"strong": "*", "em": "_", "s": "-"}


def wiki_of(markdown: str) -> str:
    """Wiki markup that shows what the Markdown means, without a line break at its end."""
    from markdown_it.tree import SyntaxTreeNode

    return _blocks(SyntaxTreeNode(_parser().parse(markdown)).children)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def _blocks(nodes: "list[SyntaxTreeNode]", *, quoted: bool = False) -> str:
    found = (_block(node, quoted) for node in nodes)
    return "\n\n".join(text for text in found if text)


def _block(node: "SyntaxTreeNode", quoted: bool) -> str:
    kind = node.type
    if kind == "heading":
        return f"{node.tag}. {_line(node)}"
    if kind == "paragraph":
        return _inline(node)
    if kind in ("fence", "code_block"):
        return _code(node.content, (node.info or "").strip().partition(" ")[0])
    if kind == "blockquote":
        inside = _blocks(node.children, quoted=True)
        return (
            inside if quoted or not inside else f"{{quote}}\n{inside}\n{{quote}}"
        )  # a quotation ends at the first end
    if kind in ("bullet_list", "ordered_list"):
        return "\n".join(_items(node, "", quoted))
    if kind == "table":
        return "\n".join(_row(row) for part in node.children for row in part.children)
    if kind == "hr":
        return "----"
    if kind == "html_block":
        return escaped(_TAG.sub("", node.content).strip())
    return _blocks(node.children, quoted=quoted)


def _items(node: "SyntaxTreeNode", marks: str, quoted: bool) -> list[str]:
    marks += "*" if node.type == "bullet_list" else "#"
    lines = []
    for item in node.children:
        said: list[str] = []
        for child in item.children:
            if child.type in ("bullet_list", "ordered_list"):
                said += _items(child, marks, quoted)
            else:
                text = _line(child) if child.type == "paragraph" else _block(child, quoted)
                said += [text] if said else [f"{marks} {text}"]
        lines += said
    return lines


def _row(row: "SyntaxTreeNode") -> str:
    bar = "||" if any(cell.type == "th" for cell in row.children) else "|"
    return bar + bar.join(_line(cell) or " " for cell in row.children) + bar


def _line(node: "SyntaxTreeNode") -> str:
    return " ".join(_inline(node).split("\n"))


def _inline(node: "SyntaxTreeNode") -> str:
    """The text of a node whose children are inline, or the one that holds these."""
    made = ""
    nodes = [child for part in node.children for child in (part.children if part.type == "inline" else [part])]
    for at, child in enumerate(nodes):
        if child.type == "text":
            made += _text(child.content, made)
        elif child.type == "code_inline":
            made += f"{{{{{escaped(child.content)}}}}}"
        elif child.type in _PHRASES:
            mark, after = _PHRASES[child.type], nodes[at + 1].content if at + 1 < len(nodes) else ""
            inside_word = made[-1:].isalnum() or after[:1].isalnum()
            mark = f"{{{mark}}}" if inside_word else mark
            made += f"{mark}{_line(child)}{mark}"
        elif child.type in ("softbreak", "hardbreak"):
            made += "\n"
        elif child.type == "link":
            made += _link(_plain(child), str(child.attrs.get("href") or ""))
        elif child.type == "image":
            made += _link(child.content, str(child.attrs.get("src") or ""))
        elif child.type == "html_inline":
            made += "\n" if child.content.lower().startswith("<br") else ""
        else:
            made += _inline(child)
    return made


def _plain(node: "SyntaxTreeNode") -> str:
    if node.type in ("softbreak", "hardbreak"):
        return " "
    return node.content if node.type != "link" and not node.children else "".join(_plain(c) for c in node.children)


def _link(text: str, url: str) -> str:
    if not url.startswith(("https://", "http://", "mailto:")):
        return escaped(text, "x")
    safe = "".join(_UNSAFE_IN_URL.get(character, character) for character in url)
    return f"[{safe}]" if text in (url, "") else f"[{escaped(text, 'x')}|{safe}]"


def _text(text: str, before: str) -> str:
    """A text in which addresses become links, as people expect."""
    made, last = "", 0
    for found in _URL.finditer(text):
        url = found[0].rstrip(_AFTER_URL)
        made += escaped(text[last : found.start()], before + made) + _link(url, url)
        last = found.start() + len(url)
    return made + escaped(text[last:], before + made)


def _code(text: str, language: str) -> str:
    macro = "code" if language.lower() in _LANGUAGES else "noformat"
    opened = f"code:{language.lower()}" if macro == "code" else macro
    inside = _END_OF_CODE.sub("{" + _JOINER, text).replace("[~", f"[{_JOINER}~").rstrip("\n")
    return f"{{{opened}}}\n{inside}\n{{{macro}}}"


def escaped(text: str, before: str = "") -> str:
    """`text`, which follows `before`, as text that Jira takes for no markup."""
    return "".join(_escaped(text, at, before) for at in range(len(text)))


def _escaped(text: str, at: int, before: str) -> str:
    character, following = text[at], text[at + 1 : at + 2]
    preceding = text[at - 1] if at else before[-1:]
    begins_line = preceding in ("", "\n")
    opens = not preceding.isalnum() and not following.isspace() and following != ""
    if character == "\\":
        return "\\" + _JOINER  # neither an escape nor, twice, a line break
    if character in "{[" and following.isalpha() | (following in ("~", "^")):
        return f"\\{character}{_JOINER}"
    if character in "{}[]|" or (character in "*_-+^~!" and opens) or (character in "*-#" and begins_line):
        return f"\\{character}"
    if (character == "?" and following == "?") or (character == "(" and _ICON.match(text, at)):
        return f"\\{character}"
    if begins_line and character in "hb" and _LINE_MACRO.match(text, at):
        return character + _JOINER
    return character
