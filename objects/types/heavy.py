"""Renders templates and answers questions about events, in a process of its own with little memory (`core.worker`): a
template that never ends, or a question that is too large, ends this process and not the node."""

from typing import Any

from core.worker import serve

MEMORY_BYTES = 1 << 30
MOST_HTML = 1_400_000


def answer(asked: Any) -> Any:
    try:
        return _render(asked) if asked["do"] == "render" else _analyse(asked)
    except MemoryError:
        return {"error": "it needs too much memory"}


def _render(asked: Any) -> Any:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(autoescape=True, undefined=jinja2.ChainableUndefined)
    # A template must not say that text of somebody else is safe.
    environment.filters["safe"] = lambda text: text
    for name in ("attr", "xmlattr", "pprint"):
        environment.filters.pop(name, None)
    environment.globals.pop("cycler", None)
    try:
        html = environment.from_string(_without_escapes(asked["template"])).render(**asked["data"])
    except Exception as error:  # whatever a hostile template brings about is its author's to know
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    if len(html) > MOST_HTML:
        return {"error": f"the page has more than {MOST_HTML:,} characters"}
    return {"html": html.replace("\0", "")}


def _without_escapes(template: str) -> str:
    import re

    if re.search(r"{%[-+]?\s*(autoescape|include|import|from|extends)\b", template):
        raise ValueError("autoescape, include, import and extends are not allowed")
    return template


def _analyse(asked: Any) -> Any:
    import duckdb

    argument = asked["argument"]
    connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "400MB"})
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    connection.execute('CREATE TABLE e (t DOUBLE, name VARCHAR, "user" VARCHAR, value DOUBLE)')
    rows = asked["events"]
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(
            "INSERT INTO e SELECT unnest(?::DOUBLE[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::DOUBLE[])",
            columns,
        )
    connection.execute(
        "CREATE VIEW seen AS SELECT * FROM e WHERE t >= $since AND t < $until".replace(
            "$since", str(float(argument.get("since", 0)))
        ).replace("$until", str(float(argument.get("until", 1e12))))
    )
    try:
        return {"answer": _QUESTIONS[asked["question"]](connection, argument)}
    except duckdb.Error as error:
        return {"error": str(error)[:500]}


_BY = {
    "name": "name",
    "day": "strftime(to_timestamp(t) AT TIME ZONE 'UTC', '%Y-%m-%d')",
    "hour": "strftime(to_timestamp(t) AT TIME ZONE 'UTC', '%Y-%m-%dT%H:00')",
}


def _counts(connection: Any, argument: Any) -> Any:
    by = _BY[argument.get("by", "name")]
    rows = connection.execute(
        f'SELECT {by}, count(*), count(DISTINCT "user") FROM seen GROUP BY 1 ORDER BY 1 LIMIT 5000'  # noqa: S608
    ).fetchall()
    return [{"group": group, "events": events, "users": users} for group, events, users in rows]


def _percentiles(connection: Any, argument: Any) -> Any:
    wanted = argument.get("of") or [0.5, 0.95, 0.99]
    row = connection.execute(
        "SELECT count(value), avg(value), quantile_cont(value, ?::DOUBLE[]) FROM seen WHERE name = ?",
        [wanted, argument["name"]],
    ).fetchone()
    values = row[2] or [None] * len(wanted)
    return {"values": row[0], "mean": row[1], "percentiles": dict(zip(map(str, wanted), values, strict=True))}


def _funnel(connection: Any, argument: Any) -> Any:
    """For each user the first time of each step after the one before, within the time from the first step on."""
    steps, within = argument["steps"], float(argument.get("within", 7 * 86_400))
    connection.execute(
        'CREATE TABLE f0 AS SELECT "user", min(t) AS first, min(t) AS t FROM seen '
        'WHERE name = ? AND "user" IS NOT NULL GROUP BY 1',
        [steps[0]],
    )
    for number, name in enumerate(steps[1:], 1):
        connection.execute(
            f'CREATE TABLE f{number} AS SELECT p."user", p.first, min(s.t) AS t FROM f{number - 1} p '  # noqa: S608
            'JOIN seen s ON s."user" = p."user" AND s.name = ? AND s.t > p.t AND s.t <= p.first + ? GROUP BY 1, 2',
            [name, within],
        )
    found = [connection.execute(f"SELECT count(*) FROM f{number}").fetchone()[0] for number in range(len(steps))]  # noqa: S608
    return [
        {"step": name, "users": users, "share": round(users / found[0], 4) if found[0] else None}
        for name, users in zip(steps, found, strict=True)
    ]


_QUESTIONS = {"counts": _counts, "percentiles": _percentiles, "funnel": _funnel}


def _prepare() -> None:
    import duckdb  # noqa: F401
    import jinja2.sandbox  # noqa: F401


if __name__ == "__main__":
    serve(answer, memory=MEMORY_BYTES * 3, prepare=_prepare)
