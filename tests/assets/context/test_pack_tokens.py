"""Compares the estimate of tokens with a real tokenizer, on texts that are far from prose."""

import base64
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from assets.context.pack.tokens import estimate_tokens, line_cost, text_cost

_RANDOM = random.Random(1)  # noqa: S311


def letters(alphabet: str, count: int = 2000) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(count))


ODD = {
    "one long word": letters("abcdefghijklmnopqrstuvwxyz"),
    "capitals": letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "bases": letters("ACGT"),
    "base64": base64.b64encode(_RANDOM.randbytes(2000)).decode(),
    "base64 in lines": "\n".join(base64.b64encode(_RANDOM.randbytes(48)).decode() for _ in range(40)),
    "hexadecimal": _RANDOM.randbytes(2000).hex(),
    "emoji": "\N{COLLISION SYMBOL}" * 500,
    "deep blanks": f"{' ' * 200}x\n" * 50,
    "blanks inside": f"a{' ' * 60}= b\n" * 50,
    "deep tabs": "\t\t\t\t\t\tx\n" * 200,
    "empty lines": "\n" * 1000,
    "long names": "thisIsAVeryLongMethodNameThatDescribesTheBehaviour2OfTheThing3 " * 40,
    "code": Path(__file__).read_text(encoding="utf-8"),
}


@cache
def tokenizer() -> Any:
    import wordllama  # type: ignore[import-untyped]
    from tokenizers import Tokenizer

    (config,) = (Path(wordllama.__file__).parent / "tokenizers").glob("*tokenizer_config.json")
    return Tokenizer.from_file(str(config))


@pytest.mark.parametrize("kind", ODD)
def test_no_text_takes_far_more_tokens_than_estimated(kind: str) -> None:
    true = len(tokenizer().encode(ODD[kind], add_special_tokens=False).ids)
    assert 0.85 <= estimate_tokens(ODD[kind]) / true <= 1.4


def test_the_costs_of_lines_add_up_to_that_of_their_text() -> None:
    text = "\n".join(ODD.values())
    assert text_cost(text) == sum(map(line_cost, text.split("\n")))
    assert text_cost("") == 0
