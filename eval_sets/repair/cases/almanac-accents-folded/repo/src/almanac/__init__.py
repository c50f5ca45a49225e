"""Events of a calendar: when they recur, when people are free, and the text format that calendars exchange."""

from .busy import free_slots, merged
from .entry import Entry, read_entries, write_entries
from .lines import escape, fold, unescape, unfold
from .rules import Rule, occurrences

__all__ = [
    "Entry", "Rule", "escape", "fold", "free_slots", "merged", "occurrences", "read_entries", "unescape", "unfold",
    "write_entries",
]
