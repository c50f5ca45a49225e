"""A model behind an HTTP server with Ollama's API or an OpenAI-compatible one.

Every answer is checked: as many vectors as texts, of the right width, finite, none all zeros. A batch that the server
fails at, while it takes another text, is split down to the text that is the cause. Texts are sent in
batches by estimated tokens, several requests at a time. `known_answers` detects a server that answers in another
order or with another model.
"""

import hashlib
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from pydantic import ValidationError

from core.embedding.account import Account, Cost
from core.embedding.batches import batches
from core.embedding.protocol import Embedded, EmbedderUnavailable, TextsRefused, Vectors, WrongAnswer, unit_rows
from core.embedding.spec import Served
from core.http import Breaker, Limits, RequestRefused, ServerFailed, ServiceUnavailable
from core.model_server import token_count
from core.ollama import OllamaServer

_CHARACTERS_PER_TOKEN = 3
"""A low estimate for code and English, only for sizing requests and cutting texts."""
_QUERY_SECONDS = 10.0
_QUERY_RETRIES = 1
_BATCH_RETRIES = 3
"""Fewer failures than those that a breaker opens at, so that it can be asked whether the server works."""
_SPLIT_RETRIES = 1
_OF_TEXTS = (400, 413, 422)
"""What a server answers that does not take a text."""
_OF_A_TEXT = (500, 501, 502)
"""What a server answers that fails while it embeds, or whose worker does; 503 and 504 say that it is busy or away."""
_PLAIN = "parse a date from a string"


class ServedEmbedder:
    """Connects at first use. Safe for use by several threads; at most `spec.concurrency` requests at a time."""

    def __init__(self, spec: Served, *, breaker: Breaker | None = None) -> None:
        self._spec = spec
        self._service = spec.service(breaker)
        self._ollama = OllamaServer(self._service)
        self._account = Account(spec.price)
        self._slots = threading.BoundedSemaphore(spec.concurrency)
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """The digest covers the model's name and revision on its server and how it is used, but not the server's
        address. Without a revision in the description, Ollama is queried for it; other servers have none."""
        if self._identity is None:
            spec = self._spec
            use = (
                spec.provider,
                spec.model,
                self.revision(),
                str(spec.max_tokens),
                spec.query_prefix,
                spec.document_prefix,
            )
            digest = hashlib.sha256("\0".join(use).encode()).hexdigest()[:16]
            self._identity = f"{spec.name}-{spec.dimensions}@sha256:{digest}"
        return self._identity

    @property
    def dimensions(self) -> int:
        return self._spec.dimensions

    @property
    def max_tokens(self) -> int:
        return self._spec.max_tokens

    @property
    def cost(self) -> Cost:
        """The cost since this object was created."""
        return self._account.cost

    def revision(self) -> str:
        """The described digest, else the one on an Ollama server now; "" for other servers. Raises
        `EmbedderUnavailable`."""
        if self._spec.revision is not None or self._spec.provider == "openai":
            return self._spec.revision or ""
        return self._served_revision()

    def _served_revision(self) -> str:
        try:
            return self._ollama.digest(self._spec.model)
        except ServiceUnavailable as error:
            raise EmbedderUnavailable(str(error)) from None

    def check_revision(self) -> None:
        """Raises `WrongAnswer` if Ollama's digest of the model is not the described one, even if its vectors are
        similar, and `EmbedderUnavailable`."""
        described = self._spec.revision or ""
        if self._spec.provider != "ollama" or not re.fullmatch(r"[0-9a-f]{12,64}", described):
            return
        if not (now := self._served_revision()).startswith(described):
            raise WrongAnswer(
                f"{self._who} now has the digest {now[:12]}, not {described[:12]}: another model has taken its name; "
                "restore the former one, or register this one under another name"
            )

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        spec = self._spec
        out = np.zeros((len(texts), spec.dimensions), dtype=np.float32)
        rows = [row for row, text in enumerate(texts) if text.strip()]
        given = [self._cut(texts[row], spec.document_prefix) for row in rows]
        sizes = [min(spec.max_tokens, len(text) // _CHARACTERS_PER_TOKEN + 1) for text in given]
        groups = list(batches(sizes, spec.batch_tokens, spec.batch_texts))

        refused: dict[int, str] = {}

        def one(group: list[int]) -> None:
            # A server may fail at one of the texts: then the others should not wait long.
            retries = spec.retries if len(group) == 1 else min(spec.retries, _BATCH_RETRIES)
            found = self._embed([given[place] for place in group], spec.timeout, retries)
            out[[rows[place] for place in group]] = found.vectors
            refused.update({rows[group[place]]: reason for place, reason in found.refused.items()})

        if len(groups) <= 1 or spec.concurrency == 1:
            for group in groups:
                one(group)
        else:
            with ThreadPoolExecutor(min(spec.concurrency, len(groups))) as pool:
                futures = [pool.submit(one, group) for group in groups]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        if refused:
            raise TextsRefused(self._who, unit_rows(out), refused)
        return unit_rows(out)

    def embed_query(self, text: str) -> Vectors:
        out = np.zeros((1, self.dimensions), dtype=np.float32)
        if text.strip():
            given = [self._cut(text, self._spec.query_prefix)]
            found = self._embed(given, min(self._spec.timeout, _QUERY_SECONDS), min(self._spec.retries, _QUERY_RETRIES))
            if found.refused:
                raise WrongAnswer(found.refused[0])
            out[:] = found.vectors
        vector: Vectors = unit_rows(out)[0]
        return vector

    def close(self) -> None:
        self._service.close()

    def _cut(self, text: str, prefix: str) -> str:
        return prefix + text[: self.max_tokens * _CHARACTERS_PER_TOKEN].encode("utf-8", "replace").decode()

    def _embed(self, texts: list[str], timeout: float, retries: int) -> Embedded:
        """One request. If the server refuses it as too long, or fails at it and not at another text, its halves: down
        to single texts, which are cut, or refused with the reason."""
        try:
            with self._slots:
                return Embedded(self._asked(texts, timeout, retries))
        except RequestRefused as error:
            if not _too_long(error, texts):
                if error.status not in _OF_TEXTS or len(texts) > 1 or not self._works(timeout):
                    raise EmbedderUnavailable(str(error)) from None
                return self._refused(texts, str(error))
            if len(texts) == 1:
                return self._embed([texts[0][: len(texts[0]) // 2]], timeout, retries)
        except ServerFailed as error:
            if error.status not in _OF_A_TEXT:
                raise EmbedderUnavailable(str(error)) from None
            if not self._works(timeout):
                raise EmbedderUnavailable(f"{error.problem}: it fails at any text, so see the server's log") from None
            if len(texts) == 1:
                return self._refused(texts, error.problem)
            retries = min(retries, _SPLIT_RETRIES)
        except ServiceUnavailable as error:
            raise EmbedderUnavailable(str(error)) from None
        except _Unusable as error:
            if not self._works(timeout):
                raise
            if len(texts) == 1:
                return self._refused(texts, str(error))
        middle = len(texts) // 2
        return _joined([self._embed(part, timeout, retries) for part in (texts[:middle], texts[middle:])])

    def _works(self, timeout: float) -> bool:
        """Whether the server answers for a text that any model takes."""
        try:
            with self._slots:
                self._asked([self._cut(_PLAIN, self._spec.document_prefix)], timeout, 0)
        except (ServiceUnavailable, WrongAnswer):
            return False
        return True

    def _refused(self, texts: list[str], reason: str) -> Embedded:
        return Embedded(np.zeros((len(texts), self.dimensions), dtype=np.float32), {0: reason})

    def _asked(self, texts: list[str], timeout: float, retries: int) -> Vectors:
        spec = self._spec
        limits = Limits(
            timeout,
            retries,
            (1 << 20) + 40 * self.dimensions * len(texts),
            on_failure=lambda seconds, again, _: self._account.failed(seconds, again=again),
        )
        began = time.monotonic()
        if spec.provider == "ollama":
            found, tokens = self._of_ollama(texts, limits)
        else:
            body = {"model": spec.model, "input": texts, "encoding_format": "float"}
            found, tokens = _of_openai(self._service.json("POST", "/embeddings", body, limits=limits), len(texts))
        estimate = sum(len(text) for text in texts) // _CHARACTERS_PER_TOKEN + 1
        self._account.answered(len(texts), tokens or estimate, time.monotonic() - began)
        return self._checked(found, len(texts))

    def _of_ollama(self, texts: list[str], limits: Limits) -> tuple[list[Any], int]:
        """The vectors, and the number of tokens (0 if unknown)."""
        with self._ollama.understood():
            try:
                answer = self._ollama.client(limits).embed(self._spec.model, texts, truncate=True)
            except ValidationError as error:
                raise WrongAnswer(f"{self._who} gave vectors that are not lists of numbers of one length") from error
        return list(answer.embeddings), token_count(answer.prompt_eval_count) or 0

    @property
    def _who(self) -> str:
        return f"{self._spec.name} at {self._spec.url}"

    def _checked(self, found: list[Any], count: int) -> Vectors:
        """The vectors as an array of shape (count, dimensions). Raises `WrongAnswer` for anything else."""
        who = self._who
        if len(found) != count:
            raise WrongAnswer(f"{who} gave {len(found)} vectors for {count} texts")
        try:
            vectors = np.array(found, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise WrongAnswer(f"{who} gave vectors that are not lists of numbers of one length") from error
        if vectors.shape != (count, self.dimensions):
            width = vectors.shape[1] if vectors.ndim == 2 else "no"
            raise WrongAnswer(f"{who} gave vectors of width {width}, not {self.dimensions}: it is another model")
        if not np.isfinite(vectors).all():
            raise _Unusable(f"{who} gave a vector that is not a number")
        if not vectors.any(axis=1).all():
            raise _Unusable(f"{who} gave a vector of zeros for a text with words")
        return vectors


class _Unusable(WrongAnswer):
    """One of the vectors is no vector; the text may be the cause."""


def _joined(parts: Sequence[Embedded]) -> Embedded:
    refused: dict[int, str] = {}
    for number, part in enumerate(parts):
        before = sum(len(one.vectors) for one in parts[:number])
        refused |= {before + place: reason for place, reason in part.refused.items()}
    return Embedded(np.concatenate([part.vectors for part in parts]), refused)


def _too_long(refused: RequestRefused, texts: Sequence[str]) -> bool:
    """Whether a smaller request may succeed. A single text is only cut if the server says that it is too long."""
    if refused.status not in _OF_TEXTS or (len(texts) == 1 and len(texts[0]) < 64):
        return False
    said = str(refused).lower()
    return len(texts) > 1 or refused.status == 413 or "length" in said or "token" in said


def _of_openai(answer: Any, count: int) -> tuple[list[Any], int]:
    """The vectors in the order of the texts, and the tokens, from an answer of `/embeddings` (see OpenAI's API)."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise WrongAnswer("the answer of /embeddings holds no list `data`")
    # `index` gives the order; servers that leave it out answer in the order of the texts.
    numbers = [item.get("index", place) for place, item in enumerate(data)]
    if sorted(numbers, key=str) != sorted(range(count), key=str):
        raise WrongAnswer(f"the answer of /embeddings has the indexes {numbers[:8]} for {count} texts")
    found: list[Any] = [None] * count
    for number, item in zip(numbers, data, strict=True):
        found[number] = item.get("embedding")
    usage = answer.get("usage")
    return found, token_count(usage.get("prompt_tokens") if isinstance(usage, dict) else None) or 0
