"""The file of cards and models: sizes, counts, and what is wrong with it by place."""

from pathlib import Path

import pytest

from core.serving.plan_file import PlanFileError, Shape, cards, models, read_bytes, read_plan

GOOD = """
[[cards]]
name = "a100"
memory = "40GiB"
count = 2

[[models]]
name = "coder"
weights = "4.7GiB"
layers = 28
kv_heads = 4
head_size = 128
context = 8192
parallel = 4

[[models]]
name = "other"
ollama = "other:1b"
context = 2048
"""


def refuse(asked: str) -> Shape:
    raise AssertionError(asked)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    return file


def test_cards_are_counted_and_models_measured(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, GOOD))
    assert [(c.name, c.memory >> 30, c.headroom >> 30) for c in cards(plan)] == [("a100-1", 40, 1), ("a100-2", 40, 1)]
    coder, other = models(
        plan, lambda name: Shape(weights=100, layers=2, kv_heads=3, head_size=5) if name == "other:1b" else refuse(name)
    )
    assert coder.kv_per_token == 2 * 28 * 4 * 128 * 2
    assert coder.weights == round(4.7 * (1 << 30))
    assert (other.weights, other.kv_per_token) == (100, 2 * 2 * 3 * 5 * 2)


@pytest.mark.parametrize(("text", "size"), [("1KiB", 1024), ("1 GB", 10**9), ("0.5MiB", 1 << 19), ("7", 7)])
def test_sizes_have_units(text: str, size: int) -> None:
    assert read_bytes(text) == size


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("40GiB", "forty"), "cards[1].memory: is not a size such as 4.7GiB"),
        (("parallel = 4", "parallel = 0"), "models[1].parallel: Input should be greater than or equal to 1"),
        (("layers = 28\n", ""), "models[1]: needs weights, layers, kv_heads and head_size, or ollama = NAME"),
        (('ollama = "other:1b"', 'ollama = "other:1b"\nlayers = 2'), "models[2]: has ollama = NAME"),
        (("context = 2048", "contxt = 2048"), "models[2].context: Field required"),
        (("[[cards]]", "[[cards]"), "is not valid TOML"),
        (('memory = "40GiB"', 'memory = "9999999TiB"'), "cards[1].memory: Input should be less than or equal"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(PlanFileError) as refused:
        read_plan(written(tmp_path, GOOD.replace(*change)))
    assert said in str(refused.value) and "plan.toml" in str(refused.value)


def test_a_missing_or_endless_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanFileError, match="cannot be read"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(PlanFileError, match="more than"):
        read_plan(written(tmp_path, "#" * (2 << 20)))
