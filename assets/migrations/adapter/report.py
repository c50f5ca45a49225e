"""An adapter's outcome told to a person: what may answer while the old model is away, and the table behind it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from assets.migrations.adapter import training as adapter
from assets.migrations.lifecycle.record import Migration, MigrationRefused
from assets.platform import Platform
from assets.shared import charts
from assets.shared.charts import Mark, Row
from assets.shared.markdown import cell
from core.embedding import adapter as kept
from core.statistics import Interval

_MEASURES = (("recall", "recall@{k}"), ("ndcg", "nDCG@{k}"), ("mrr", "MRR"))


def made(
    platform: Platform, migration: Migration, *, train: bool, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """`adapter.as_data` of a new version, or of the newest. Raises `MigrationRefused` where none is or can be made, and
    `EmbedderUnavailable`."""
    if train:
        return adapter.as_data(adapter.train(platform, migration, tell=tell))
    with platform.database.system() as connection:
        row = kept.newest(connection, migration.old_model, migration.new_model)
    if row is None:
        raise MigrationRefused("no adapter was made for this migration yet: penstock migrate adapter")
    return adapter.as_data(row)


def headline(row: Mapping[str, Any]) -> str:
    """What answers queries while the old model's server is away, and why."""
    who = {
        "adapter": f"an {row['kind']} map answers" if row["kind"][:1] in "aeio" else f"a {row['kind']} map answers",
        "covered": "the new model answers over what it covers",
        "nothing": "words, names and paths answer alone",
    }[row["use"]]
    return f"While the old model's server is away, {who}: the adapter {row['reason']}."


def as_markdown(row: Mapping[str, Any]) -> str:
    """`row` is `adapter.as_data`'s."""
    told = row["evaluation"]
    parts = [headline(row), "", _basis(row)]
    for title, rows in _tables(told):
        names = [name.format(k=told["k"]) for _, name in _MEASURES]
        parts += ["", f"| {title} | {' | '.join(names)} |", "|---|---|---|---|"]
        parts += [f"| {cell(one['name'])} | {' | '.join(_value(one, name) for name, _ in _MEASURES)} |" for one in rows]
    return "\n".join(parts) + "\n"


def for_page(row: Mapping[str, Any]) -> dict[str, Any]:
    """A part of the migration's page; `row` is `adapter.as_data`'s."""
    told = row["evaluation"]
    measured = f"nDCG@{told['k']}" if "k" in told else ""
    return {
        "headline": headline(row),
        "basis": _basis(row),
        "measured": measured,
        "tables": [
            (
                title,
                charts.rates([_drawn(one) for one in rows if one.get("ndcg") is not None], f"{measured} {title}"),
                ("", *(name.format(k=told["k"]) for _, name in _MEASURES)),
                [(one["name"], *(_value(one, name) for name, _ in _MEASURES)) for one in rows],
            )
            for title, rows in _tables(told)
        ],
    }


def _drawn(one: Mapping[str, Any]) -> Row:
    kind = "candidate" if one["name"].startswith(("adapter", "with the adapter")) else "baseline"
    interval = None if one.get("ndcg_low") is None else Interval(one["ndcg_low"], one["ndcg_high"])
    return Row(one["name"], (Mark(one["ndcg"], interval, kind),), f"{one['ndcg']:.3f}")


def _tables(told: dict[str, Any]) -> list[tuple[str, Sequence[dict[str, Any]]]]:
    if not told.get("alone"):
        return []
    dealt = {"name": "chance: the adapter's answers to other queries", **told["chance"]}
    return [("by vectors alone", [*told["alone"], dealt]), ("in whole searches", told["search"])]


def _basis(row: Mapping[str, Any]) -> str:
    told = row["evaluation"]
    pairs, asked = told.get("pairs"), told.get("queries")
    text = (
        f"Made {row['trained_at'][:16].replace('T', ' ')} in {row['seconds']:.0f} s, with {row['covered']:.0%} covered"
    )
    if pairs and asked:
        text += (
            f", from {pairs['documents']} document and {pairs['queries']} query pairs; judged with "
            f"{asked['held_back']} held-back queries that share no file and no text with them"
        )
    return text + "."


def _value(one: dict[str, Any], measure: str) -> str:
    if one.get(measure) is None:
        return "-"
    low, high = one.get(f"{measure}_low"), one.get(f"{measure}_high")
    return f"{one[measure]:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else "")
