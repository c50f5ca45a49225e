"""`python -m inklog FILE [LEVEL]`: a line for each press."""

import sys
from pathlib import Path

from inklog.entries import LEVELS, entries
from inklog.report import by_press


def main(arguments):
    if not 1 <= len(arguments) <= 2 or arguments[1:] and arguments[1] not in LEVELS:
        print("usage: python -m inklog FILE [info|warn|error]", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    if not path.is_file():
        print(f"inklog: there is no file {path}", file=sys.stderr)
        return 1
    found = entries(path.read_text(encoding="utf-8").splitlines())
    for press, count in by_press(found, *arguments[1:]):
        print(f"{press} {count}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
