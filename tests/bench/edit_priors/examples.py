"""Examples to learn from: for each small edit, the proposals that make it, among all proposals for its function."""

import ast
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from assets.executions.engines.search.operators import Site, proposals
from assets.executions.engines.search.operators.base import Proposal
from assets.executions.engines.search.operators.index import ProjectIndex
from assets.executions.engines.search.source import SourceFile, apply_edits
from assets.executions.engines.search.symptoms import Symptoms

from .history import SmallEdit, functions, normal, normalised

NEGATIVES = 120
_SPARE = 8
"""Characters by which a text and its normalised form may differ in length, white space apart."""
_MOST_PROPOSALS = 60_000


@dataclass
class Example:
    """One edit. `made` are the proposals that make it (operator, weight, statement kind, tokens of the text that is
    replaced and of the new one), `others` a sample of those that do not, of `proposed` in all; `place` is where the
    best of `made` stands among all by weight."""

    package: str
    release: str
    path: str
    name: str
    lines: int
    made: list[tuple[str, float, str, str, str]] = field(default_factory=list)
    others: list[tuple[str, float, str, str, str]] = field(default_factory=list)
    proposed: int = 0
    place: int | None = None
    diff: str = ""


def example(edit: SmallEdit, index: ProjectIndex, seed: int = 0) -> Example:
    found = Example(edit.package, edit.release, edit.source.path, edit.name, edit.lines)
    symptoms = likely_symptoms(edit)
    wanted = len(_squeezed(ast.unparse(edit.after_node))) - len(_squeezed(ast.unparse(normal(edit.before))))
    site_lines = {id(site) for site in edit.sites}
    seen: dict[tuple[object, ...], tuple[float, tuple[str, float, str, str, str]]] = {}
    made: dict[tuple[object, ...], bool] = {}
    for statement in (*edit.sites, *_statements(edit)):
        if not made and id(statement) not in site_lines:
            break  # the sites come first: an edit that they do not make has no place
        site = Site(edit.source, statement, index, symptoms)
        for proposal in proposals(site):
            if proposal.edits in seen and seen[proposal.edits][0] >= proposal.weight:
                continue
            fresh = proposal.edits not in seen
            seen[proposal.edits] = (proposal.weight, _described(proposal, statement, edit.source))
            if fresh and id(statement) in site_lines and _makes(proposal, edit, wanted):
                made[proposal.edits] = True
        if len(seen) > _MOST_PROPOSALS:
            break
    found.proposed = len(seen) if made else 0
    found.made = [seen[key][1] for key in made]
    if made:
        best = max(seen[key][0] for key in made)
        found.place = 1 + sum(weight > best for weight, _ in seen.values())
    if not made:
        return found
    rest = [row for key, (_, row) in seen.items() if key not in made]
    chosen = random.Random(f"{seed}:{edit.package}:{edit.release}:{edit.name}")  # noqa: S311
    found.others = chosen.sample(rest, min(NEGATIVES, len(rest)))
    return found


def likely_symptoms(edit: SmallEdit) -> Symptoms:
    """What tests of this edit would likely say: exceptions that it raises are expected, half of its new constants and
    the function's name are mentioned, beside constants of the file that have nothing to do with it."""
    after, before = list(ast.walk(edit.after_node)), list(ast.walk(edit.before))
    raised = [n.exc for n in after if isinstance(n, ast.Raise) and n.exc is not None]
    was = {ast.dump(n.exc) for n in before if isinstance(n, ast.Raise) and n.exc is not None}
    found = Symptoms(names={*edit.name.split(".")})
    for exc in raised:
        name = exc.func if isinstance(exc, ast.Call) else exc
        if isinstance(name, ast.Name) and ast.dump(exc) not in was:
            found.expected_raise.add(name.id)
            found.not_raised = True
    old = {repr(n.value) for n in before if isinstance(n, ast.Constant)}
    new = [n.value for n in after if isinstance(n, ast.Constant) and repr(n.value) not in old]
    chosen = random.Random(f"{edit.package}:{edit.release}:{edit.name}")  # noqa: S311
    kept = [value for value in new if isinstance(value, str | int | float) and chosen.random() < 0.5]
    others = [n.value for n in ast.walk(edit.source.tree)
              if isinstance(n, ast.Constant) and isinstance(n.value, str | int | float)]  # fmt: skip
    found.literals = [*kept, *chosen.sample(others, min(8, len(others)))]
    return found


def _statements(edit: SmallEdit) -> Iterator[ast.stmt]:
    for node in ast.walk(edit.before):
        if isinstance(node, ast.stmt):
            yield node


def _makes(proposal: Proposal, edit: SmallEdit, wanted: int) -> bool:
    source = edit.source
    start = source.line_start(source.first_line(edit.before))
    last = edit.before.end_lineno or edit.before.lineno
    end = source.line_start(last + 1) if last < source.lines else len(source.text)
    inside = [one for one in proposal.edits if start <= one.start and one.end <= end]
    if not inside or len(inside) != len([one for one in proposal.edits if one.end >= start]):
        return False
    added = sum(len(_squeezed(one.text)) - len(_squeezed(source.text[one.start : one.end])) for one in inside)
    message = any("raise " in one.text for one in inside)
    if not message and abs(added - wanted) > _SPARE:
        return False
    try:
        whole = apply_edits(source.text[start:end], tuple(_moved(inside, start)))
        tree = ast.parse(f"if True:\n{whole}" if whole[:1] in " \t" else whole)
    except (SyntaxError, ValueError):
        return False
    found = next(functions(tree), None)
    return found is not None and ast.dump(normalised(found[1])) == edit.after


def _moved(edits: Sequence, start: int) -> Iterator:
    for one in edits:
        yield type(one)(one.path, one.start - start, one.end - start, one.text)


def _described(proposal: Proposal, statement: ast.stmt, source: SourceFile) -> tuple[str, float, str, str, str]:
    old = " ".join(source.text[one.start : one.end] for one in proposal.edits)
    new = " ".join(one.text for one in proposal.edits)
    return proposal.operator, round(proposal.weight, 4), type(statement).__name__, old[:200], new[:200]


def _squeezed(text: str) -> str:
    return re.sub(r"\s+|[()'\"]", "", text)
