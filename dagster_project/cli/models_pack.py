"""`penstock models pack`: which models share a card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, note, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.serving.packing import Card, Plan, ServedModel
    from core.serving.plan_file import Shape


def pack(
    file: Annotated[Path, typer.Argument(help="TOML file with [[cards]] and [[models]] (docs/kubernetes.md).")],
    ollama: Annotated[
        str, typer.Option(help="Ollama server that is asked about models which the file names as its.")
    ] = "http://127.0.0.1:11434",
    as_json: AsJson = False,
) -> None:
    """Place models on cards: weights, cache of all requests and headroom, never over-committed.

    Exit code 1 if a model finds no place.
    """
    from core.serving import packing, plan_file

    try:
        plan = plan_file.read_plan(file)
        models = plan_file.models(plan, _asks(ollama))
        cards = plan_file.cards(plan)
        made = packing.pack(models, cards)
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        data(_as_data(models, cards, made))
    else:
        _show(models, cards, made)
    if made.unplaced:
        raise typer.Exit(1)


def _asks(address: str) -> "Callable[[str], Shape]":
    def ask(model: str) -> "Shape":
        from core.http import Service, ServiceUnavailable
        from core.ollama import OllamaServer

        try:
            return OllamaServer(Service(address, remedy="is Ollama up?")).shape(model)
        except ServiceUnavailable as error:
            raise CommandFailed(str(error)) from error

    return ask


def _mib(size: int) -> int:
    """Rounded up: what the chart's `memoryMiB` and `gpuMemoryMiB` count in."""
    return -(-size >> 20)


def _as_data(models: "list[ServedModel]", cards: "list[Card]", made: "Plan") -> dict[str, Any]:
    need = {model.name: model.need for model in models}
    return {
        "exact": made.exact,
        "cards": [
            {
                "name": card.name,
                "memory_mib": card.memory >> 20,
                "headroom_mib": _mib(card.headroom),
                "free_mib": (card.usable - sum(need[name] for name in made.cards[card.name])) >> 20,
                "models": list(made.cards[card.name]),
            }
            for card in cards
        ],
        "models": [{"name": m.name, "memory_mib": _mib(m.need), "weights_mib": _mib(m.weights),
                    "cache_mib": _mib(m.cache)} for m in models],
        "unplaced": [{"name": one.model, "why": one.why} for one in made.unplaced],
    }  # fmt: skip


def _show(models: "list[ServedModel]", cards: "list[Card]", made: "Plan") -> None:
    from core.serving.packing import size

    need = {model.name: model for model in models}
    rows: list[list[object]] = []
    for card in cards:
        names = made.cards[card.name]
        free = size(card.usable - sum(need[name].need for name in names))
        rows += [[card.name, name, size(need[name].need), size(need[name].cache), ""] for name in names]
        rows.append([card.name, "-", "-", "-", free])
    table(["card", "model", "memory", "of it cache", "free"], rows, empty="No card.")
    for one in made.unplaced:
        note(f"{one.model} has no place: {one.why}")
    if not made.exact:
        note("these are too many models to try every way: there may be a better plan")
