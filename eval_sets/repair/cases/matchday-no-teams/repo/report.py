"""The table as text."""

from league import League

HEADER = f"{'':3}{'Team':<16}{'P':>3}{'W':>3}{'D':>3}{'L':>3}{'Goals':>8}{'Diff':>5}{'Pts':>4}"


def render(league: League) -> str:
    lines = [league.name, HEADER]
    for place, row in enumerate(league.table(), start=1):
        goals = f"{row.scored}:{row.conceded}"
        lines.append(
            f"{place:<3}{row.team:<16}{row.played:>3}{row.won:>3}{row.drawn:>3}{row.lost:>3}"
            f"{goals:>8}{row.difference:>+5}{row.points:>4}"
        )
    return "\n".join(lines)
