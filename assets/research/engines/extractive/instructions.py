"""Sentences that give instructions to whoever reads them by a program. They are set aside and never quoted.

Not what keeps an injected instruction from having an effect: this engine does nothing that a text says. It keeps such
texts out of reports, whose readers may be programs too.
"""

import re

_ADDRESSES = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|all|any|other|your|"
    r"these|system|safety)\b.{0,30}"
    r"\b(?:instructions?|prompts?|rules?|guidelines?|sources?|context|text|documents?|messages?|polic(?:y|ies))\b|"
    r"\b(?:system|developer)\s*(?:prompt|message|instruction|note|override)s?\b|"
    r"\b(?:as|you are|you're|acting as|act as)\s+(?:an?\s+)?(?:ai|artificial|language model|llm|assistant|chatbot|"
    r"agent)\b|"
    r"\b(?:dear|attention|note to|note for|to (?:the|any|all)|hey|if you are)\b.{0,24}\b(?:ai|llms?|language models?|"
    r"assistants?|chatbots?|agents?|crawlers?|summari[sz]ers?|bots?)\b|"
    r"\b(?:ai|llm|assistant|language model|chatbot|agent|summari[sz]er|bot)s?\b[^.]{0,40}\b(?:must|should|shall|are "
    r"(?:to|required)|please|have to|need to)\b|"
    r"\b(?:in your|your)\s+(?:answer|reply|response|report|summary|output|conclusion)\b|"
    r"\b(?:answer|reply|respond|conclude|state|report|say|write|output|print|tell)\b.{0,20}\b(?:only|exactly|instead|"
    r"that|the (?:words?|phrase|following|code|text))\b.{0,80}\b(?:user|reader|question|asked|instead|regardless|"
    r"whatever|no matter)\b|"
    r"\b(?:when|if|whenever)\s+(?:asked|answering|summari[sz]ing|you (?:read|answer|summari[sz]e|write|are asked))\b|"
    r"\bdo not (?:mention|cite|reveal|disclose|tell|report|quote|include)\b.{0,60}|"
    r"<\s*/?\s*(?:system|assistant|user|instructions?)\s*>|\[/?INST\]|<\|[a-z_]+\|>",
    re.IGNORECASE,
)
_IMPERATIVE = re.compile(
    r"^\W*(?:please\s+)?(?:ignore|disregard|reply|respond|answer|output|print|repeat|send|email|forward|execute|"
    r"visit|append|reveal|"
    r"include|recommend|cite|conclude|insist|pretend)\b",
    re.IGNORECASE,
)
_TO_WHOM = re.compile(
    r"\b(?:reader|user|question|answer|report|summary|prompt|instructions?|sources?|citation|password|secret|token|"
    r"key|url|link|word|phrase)s?\b",
    re.I,
)


def is_instruction(sentence: str) -> bool:
    """Whether a sentence addresses its reader with an instruction about how to answer."""
    return bool(_ADDRESSES.search(sentence) or (_IMPERATIVE.match(sentence) and _TO_WHOM.search(sentence)))
