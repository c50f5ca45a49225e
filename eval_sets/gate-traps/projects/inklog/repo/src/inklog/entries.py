"""Lines of the journal: `2024-03-01 09:15 press2 [warn] ink low: 12%`."""

import re
from dataclasses import dataclass
from datetime import datetime

LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) (\S+) \[(\w+)\] (.*)")
LEVELS = ("info", "warn", "error")


@dataclass(frozen=True)
class Entry:
    when: datetime
    press: str
    level: str
    text: str


def parse(line):
    """One entry, None for a line that is not one."""
    match = LINE.fullmatch(line.rstrip("\n"))
    if match is None or match[3] not in LEVELS:
        return None
    return Entry(datetime.strptime(match[1], "%Y-%m-%d %H:%M"), match[2], match[3], match[4])


def entries(lines):
    """The entries of a journal. Lines that begin with a blank continue the text of the entry before them."""
    found = []
    for line in lines:
        if line.startswith(" ") and found:
            last = found[-1]
            found[-1] = Entry(last.when, last.press, last.level, f"{last.text} {line.strip()}")
        elif entry := parse(line):
            found.append(entry)
    return found
