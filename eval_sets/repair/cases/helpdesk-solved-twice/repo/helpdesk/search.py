"""The search box: `status:open tag:"late parcel" -printer`.

Words stand for parts of the subject. A value with spaces is put between double quotes, in which a backslash stands
before a quote or a backslash that belongs to the value. A minus sign excludes.
"""

import re
from dataclasses import dataclass

_TERM = re.compile(r"""\s*(-?)(?:(status|tag|agent|customer):)?("(?:[^"\\]|\\.)*"|[^\s"]+)""")


class BadQuery(ValueError):
    """A text that is no query."""


@dataclass(frozen=True)
class Term:
    field: str
    value: str
    excluded: bool = False

    def matches(self, ticket):
        return self._found(ticket) is not self.excluded

    def _found(self, ticket):
        if self.field == "status":
            return ticket.status.value == self.value
        if self.field == "tag":
            return self.value in ticket.tags
        if self.field == "agent":
            return (ticket.agent or "") == self.value
        if self.field == "customer":
            return ticket.customer.lower() == self.value.lower()
        return self.value.lower() in ticket.subject.lower()


@dataclass(frozen=True)
class Query:
    terms: tuple

    def matches(self, ticket):
        return all(term.matches(ticket) for term in self.terms)


def parse_query(text):
    """The query that a text is. Raises BadQuery."""
    terms = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            raise BadQuery(f"cannot read {text[at:].strip()!r}")
        minus, field, value = match.groups()
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        terms.append(Term(field or "subject", value, bool(minus)))
        at = match.end()
    return Query(tuple(terms))
