"""When a report says that its confidence is high."""

import pytest

from assets.research.engines.synthesis import synthesise
from assets.research.records import (
    Analysis,
    Claim,
    Cost,
    Kind,
    Passage,
    Quote,
    Report,
    Searched,
    SubQuestion,
    text_hash,
)

RARITY = {"dam": 0.1, "oster": 0.4, "high": 0.5, "spillway": 0.9}
TEXTS = ("The Oster dam is 84 metres high.", "At 84 metres, the Oster dam is high.")


def report(question: str, *texts: str) -> Report:
    """A report whose one claim two sources state."""
    passages = [Passage(hash=text_hash(t), text=t, address=f"{n}.md", title="Dam") for n, t in enumerate(texts)]
    quotes = tuple(Quote(passage=p.hash, start=0, end=len(TEXTS[n])) for n, p in enumerate(passages))
    sub = SubQuestion(number=0, text=question, kind=Kind.FACT)
    claim = Claim(number=1, text=TEXTS[0], sub=0, quotes=quotes, score=1.0)
    searched = Searched(sub=sub, passages=tuple(passages), corpora=("docs",), documents=2, rarity=RARITY)
    analysis = Analysis(sub=sub, answered=True, claims=(claim,), conflicts=(), best=1.0)
    return synthesise(question, "extractive", [searched], [analysis], Cost())


@pytest.mark.parametrize(
    ("question", "addition", "confidence"),
    [
        ("How high is the Oster dam?", "", "high"),
        ("How high is the spillway of the Oster dam?", "", "medium"),
        ("How high is the spillway of the Oster dam?", " Its spillways are as high.", "high"),
    ],
)
def test_it_is_high_only_if_the_best_passage_has_the_rarest_word(question: str, addition: str, confidence: str) -> None:
    made = report(question, TEXTS[0] + addition, TEXTS[1])
    assert made.confidence == confidence
    assert any("spillway" in reason for reason in made.reasons) == (confidence == "medium")
