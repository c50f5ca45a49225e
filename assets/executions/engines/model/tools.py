"""The tools of the engine `model`: their arguments, and their results, which are bounded in size.

`run_tests` and `give_up` are run by the engine itself, since they interrupt or end its loop.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.executions.engines.protocol import Checked, SearchIndex
from core.chat.protocol import Tool, ToolCall
from core.payload import clean

from .conversation import CHARACTERS_PER_TOKEN
from .workspace import NotPossible, Workspace

MAX_RESULT = 8000
"""Characters of one result."""
MAX_LINES = 200
MAX_HITS = 20
MAX_LISTED = 200
MAX_CHECKED = 30


class Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Search(Arguments):
    query: str = Field(min_length=1, max_length=500, description="Words, a name, or a piece of code.")


class Read(Arguments):
    path: str = Field(min_length=1, max_length=1000, description="A file, relative to the repository's root.")
    start_line: int = Field(default=1, ge=1, description="First line, counted from 1.")
    end_line: int | None = Field(default=None, ge=1, description=f"Last line; at most {MAX_LINES} lines are shown.")


class ListFiles(Arguments):
    folder: str = Field(default="", max_length=1000, description="A folder; empty for the whole repository.")


class EditFile(Arguments):
    path: str = Field(min_length=1, max_length=1000, description="A text file, relative to the repository's root.")
    old: str = Field(description="The exact text to be replaced, which must occur once; whole lines are safest.")
    new: str = Field(description="What stands there afterwards.")


class WriteFile(Arguments):
    path: str = Field(min_length=1, max_length=1000, description="A file that is not there yet.")
    content: str = Field(description="All of its text.")


class DeleteFile(Arguments):
    path: str = Field(min_length=1, max_length=1000, description="A file, relative to the repository's root.")


class RunTests(Arguments):
    pass


class Check(Arguments):
    pass


class GiveUp(Arguments):
    reason: str = Field(default="", max_length=2000, description="Why no edit can be right.")


TOOLS = (
    Tool(
        "search", "Finds places in the repository: by meaning and words, and lines that hold the text itself.", Search
    ),
    Tool("list", "Names the files below a folder, with your changes so far.", ListFiles),
    Tool("read", "Shows lines of a file, with your changes so far.", Read),
    Tool("edit", "Replaces a piece of a file.", EditFile),
    Tool("write", "Makes a new file.", WriteFile),
    Tool("delete", "Removes a file.", DeleteFile),
    Tool(
        "check",
        "Runs the repository's own linters, type checkers and compilers on your changes; shows what is new.",
        Check,
    ),
    Tool("run_tests", "Runs the failing tests with your changes so far.", RunTests),
    Tool("give_up", "Ends the work without a change.", GiveUp),
)
_OFFER = json.dumps([(tool.name, tool.description, tool.parameters) for tool in TOOLS], sort_keys=True)
TOOLS_TOKENS = len(_OFFER) // CHARACTERS_PER_TOKEN
"""About how many tokens the descriptions of the tools take in a request."""
TOOLS_DIGEST = hashlib.sha256(_OFFER.encode()).hexdigest()
"""SHA-256 of the tools' names and descriptions, which the model reads like a prompt."""
_BY_NAME = {tool.name: tool for tool in TOOLS}


def parsed(call: ToolCall) -> Arguments | str:
    """A call's arguments, or what is wrong with the call, as text for the model."""
    tool = _BY_NAME.get(call.name)
    if call.problem:
        return f"This call cannot be read: {call.problem[:500]}"
    if tool is None:
        return f"There is no tool {call.name[:100]!r}; there are {', '.join(_BY_NAME)}."
    try:
        made = tool.arguments.model_validate(dict(call.arguments))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)[:5]]
        return f"Wrong arguments of {call.name}: {'; '.join(problems)[:1000]}"
    assert isinstance(made, Arguments)  # noqa: S101  every tool above is made so
    return made


@dataclass
class Toolbox:
    """Runs all tools but `run_tests` and `give_up` on a workspace; a result has about `most` characters at most."""

    workspace: Workspace
    index: SearchIndex | None = None
    most: int = MAX_RESULT
    check: Callable[[Mapping[str, str | None]], Checked] | None = None

    def run(self, arguments: Arguments) -> str:
        try:
            if isinstance(arguments, Search):
                return cut(self._search(arguments), self.most)
            if isinstance(arguments, ListFiles):
                return cut(self._list(arguments), self.most)
            if isinstance(arguments, Read):
                return cut(self._read(arguments), self.most)
            if isinstance(arguments, Check):
                return cut(self._check(), self.most)
            return self._change(arguments)
        except NotPossible as reason:
            return f"Not possible: {reason}"[:2000]

    def _change(self, arguments: Arguments) -> str:
        if isinstance(arguments, EditFile):
            line = self.workspace.replace(arguments.path, arguments.old, arguments.new)
            return f"Changed {arguments.path} from line {line}. Nothing is tested yet."
        if isinstance(arguments, WriteFile):
            self.workspace.write(arguments.path, arguments.content)
            return f"Made {arguments.path}. Nothing is tested yet."
        if isinstance(arguments, DeleteFile):
            self.workspace.delete(arguments.path)
            return f"Removed {arguments.path}. Nothing is tested yet."
        raise TypeError(f"{type(arguments).__name__} is not for the toolbox")

    def _check(self) -> str:
        files = self.workspace.changes()
        if not files:
            raise NotPossible("nothing is changed yet: edit first")
        checked = self.check(files) if self.check is not None else Checked()
        if not checked.ran:
            return "The repository sets up no checker for the changed files that is installed here. Use `run_tests`."
        lines = [one.text for one in checked.new[:MAX_CHECKED]]
        if len(checked.new) > MAX_CHECKED:
            lines.append(f"({len(checked.new) - MAX_CHECKED} more)")
        gone = f" {checked.gone} of the unchanged files' are gone." if checked.gone else ""
        lines.append(f"{len(checked.new) or 'No'} new from {', '.join(checked.ran)}.{gone}")
        return "\n".join(lines)

    def _list(self, wanted: ListFiles) -> str:
        files = self.workspace.files(wanted.folder)
        if not files:
            raise NotPossible(f"there are no text files under {wanted.folder!r}")
        more = [f"({len(files) - MAX_LISTED} more: name a folder)"] if len(files) > MAX_LISTED else []
        return "\n".join([*files[:MAX_LISTED], *more])

    def _search(self, wanted: Search) -> str:
        found = []
        if self.index is not None:
            for place in self.index(clean(wanted.query), 10):
                found.append(f"{place.path}:{place.start_line}-{place.end_line} {place.symbol}".rstrip())
        hits = [f"{hit.path}:{hit.line}: {hit.text}" for hit in self.workspace.find(wanted.query, MAX_HITS)]
        parts = []
        if found:
            parts.append("Likeliest places:\n" + "\n".join(found))
        if hits:
            parts.append("Lines that hold the text:\n" + "\n".join(hits))
        return "\n\n".join(parts) or "Nothing found. Try other words, or a name from the failing test."

    def _read(self, wanted: Read) -> str:
        lines = self.workspace.text(wanted.path).removesuffix("\n").split("\n")
        if wanted.start_line > len(lines):
            raise NotPossible(f"{wanted.path} has {len(lines)} lines")
        last = min(wanted.end_line or len(lines), len(lines), wanted.start_line + MAX_LINES - 1)
        shown = [f"{n:>5} {lines[n - 1][:400]}" for n in range(wanted.start_line, last + 1)]
        if last < len(lines):
            shown.append(f"({len(lines) - last} more lines)")
        return "\n".join(shown)


def cut(text: str, most: int = MAX_RESULT) -> str:
    """A text, of which the middle is cut out when it has more than `most` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"
