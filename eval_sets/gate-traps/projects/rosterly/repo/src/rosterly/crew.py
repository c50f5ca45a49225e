"""People and their shifts."""

from dataclasses import dataclass, field

from rosterly.spans import hours, overlap

REST = 11


@dataclass
class Person:
    name: str
    skills: frozenset = frozenset()
    shifts: list = field(default_factory=list)

    def free(self, span):
        """Whether a shift fits: it overlaps none, and there are REST hours to the ones before and after."""
        wider = (span[0] - REST, span[1] + REST)
        return all(overlap(wider, shift) is None for shift in self.shifts)

    def worked(self, span):
        """Hours within a span."""
        parts = [overlap(span, shift) for shift in self.shifts]
        return hours([part for part in parts if part])


def candidates(crew, span, skill=None):
    """Who can take a shift, those with the fewest hours in all first, then by name."""
    fit = [one for one in crew if (skill is None or skill in one.skills) and one.free(span)]
    return sorted(fit, key=lambda one: (hours(one.shifts), one.name))


def assign(crew, spans, skill=None):
    """Gives each span in order to the first candidate. Returns names, None where nobody can take it."""
    names = []
    for span in spans:
        found = candidates(crew, span, skill)
        if found:
            found[0].shifts.append(span)
        names.append(found[0].name if found else None)
    return names
