"""The default model: the mean of wordllama's 256-dimensional token embeddings. Its weights ship in its wheel.

Reads the wheel's weights and tokenizer directly, since importing the package imports an HTTP client and reconfigures
logging. Runs of white space count as one space, so that a word's tokens do not depend on its context and each word is
tokenized once per process. The vectors equal the package's own (a test compares them).
"""

import hashlib
import importlib.util
import itertools
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.embedding.protocol import EmbedderUnavailable, Vectors, unit_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_BATCH_WORDS = 1 << 14
_CACHED_WORDS = 1 << 15
_LONGEST_WORD = 128


class WordLlamaEmbedder:
    """Nothing is loaded before the first text; loading takes about 0.1 s."""

    dimensions = 256
    max_tokens = 512

    def __init__(self) -> None:
        spec = importlib.util.find_spec("wordllama")
        if spec is None or spec.origin is None:
            raise EmbedderUnavailable("the wordllama package is not installed: pip install wordllama")
        self._folder = Path(spec.origin).parent
        self._identity: str | None = None
        self._words: _Words | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        if self._identity is None:
            digest = hashlib.sha256()
            for name in (_WEIGHTS, _TOKENIZER):
                digest.update(self._read(name))
            self._identity = f"wordllama-l2-supercat-256@sha256:{digest.hexdigest()[:16]}"
        return self._identity

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise EmbedderUnavailable(
                f"{self._folder / name}: {error.strerror}; reinstall wordllama, whose wheel carries its weights"
            ) from error

    def _load(self) -> "_Words":
        # One thread: the cores are shared with the work itself, and a process that forks must have no thread pool.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        raw = self._read(_WEIGHTS)
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])["embedding.weight"]
        if header["dtype"] != "F16" or header["shape"][1] != self.dimensions:
            raise EmbedderUnavailable(
                f"wordllama's weights are {header['dtype']} {header['shape']}, not half precision of "
                f"{self.dimensions} columns: install the version named in pyproject.toml"
            )
        start, end = header["data_offsets"]
        table = np.frombuffer(raw, "<f2", offset=8 + size + start, count=(end - start) // 2)
        tokenizer = Tokenizer.from_file(str(self._folder / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return _Words(tokenizer, table.reshape(header["shape"]))

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        with self._lock:
            if texts and self._words is None:
                self._words = self._load()
            batch: list[list[str]] = []
            first = total = 0
            for row, text in enumerate(texts):
                # A token has at most about 20 characters, so the rest of a long text cannot count.
                words = text[: self.max_tokens * 24].split()[: self.max_tokens]
                batch.append(words)
                total += len(words)
                if self._words and (total >= _BATCH_WORDS or row == len(texts) - 1):
                    self._words.mean(batch, out[first : row + 1], self.max_tokens)
                    batch, first, total = [], row + 1, 0
        return unit_rows(out)

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = self.embed_documents([text])[0]
        return vector


class _Words:
    """A cache of the sum of token vectors for each word."""

    def __init__(self, tokenizer: "Tokenizer", table: NDArray[np.float16]) -> None:
        self._tokenizer = tokenizer
        self._table = table
        self._forget()

    def _forget(self) -> None:
        self._index = _Index()
        self._known = 0
        self._sums = np.zeros((1024, self._table.shape[1]), dtype=np.float32)
        self._tokens = np.zeros(1024, dtype=np.int64)

    def mean(self, texts: list[list[str]], out: Vectors, limit: int) -> None:
        """Writes the mean token vector of each list of words to `out`. Words beyond `limit` tokens are ignored."""
        if len(self._index) > _CACHED_WORDS or len(self._index) > self._known:  # the latter after a failure
            self._forget()
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        numbers = map(self._index.__getitem__, itertools.chain.from_iterable(texts))
        flat = np.fromiter(numbers, np.int64, int(lengths.sum()))
        if len(self._index) > self._known:
            self._learn(list(itertools.islice(self._index, self._known, None)))
        filled = np.flatnonzero(lengths)
        if not len(filled):
            return
        kept = lengths[filled]
        starts = np.cumsum(kept) - kept
        tokens = self._tokens[flat]
        counts = np.add.reduceat(tokens, starts)
        if counts.max() > limit:
            before = np.cumsum(tokens) - tokens
            within = before - np.repeat(before[starts], kept) < limit
            counts = np.add.reduceat(tokens * within, starts)
            kept = np.add.reduceat(within, starts, dtype=np.int64)  # the words within the limit come first
        rows = np.empty((int(kept.max()), self._sums.shape[1]), dtype=np.float32)
        # One sum per text: `reduceat` over all texts takes thirty times as long.
        for row, start, count in zip(filled.tolist(), starts.tolist(), kept.tolist(), strict=True):
            own = rows[:count]
            self._sums.take(flat[start : start + count], axis=0, out=own, mode="clip")  # other modes copy first
            np.add.reduce(own, axis=0, out=out[row])
        out[filled] /= np.maximum(counts, 1)[:, None].astype(np.float32)

    def _learn(self, words: list[str]) -> None:
        # A lone surrogate cannot be tokenized.
        cut = [word[:_LONGEST_WORD].encode("utf-8", "replace").decode() for word in words]
        ids = [encoded.ids for encoded in self._tokenizer.encode_batch_fast(cut, add_special_tokens=False)]
        first = self._known
        if (room := first + len(words)) > len(self._sums):
            self._sums = np.concatenate((self._sums, np.zeros((room, self._sums.shape[1]), dtype=np.float32)))
            self._tokens = np.concatenate((self._tokens, np.zeros(room, dtype=np.int64)))
        lengths = np.array([len(row) for row in ids])
        flat = np.array([token for row in ids for token in row], dtype=np.int64)
        np.clip(flat, 0, len(self._table) - 1, out=flat)
        filled = np.flatnonzero(lengths)
        if len(filled):
            starts = np.concatenate(([0], np.cumsum(lengths[filled])[:-1]))
            self._sums[first + filled] = np.add.reduceat(self._table[flat].astype(np.float32), starts, axis=0)
        self._tokens[first : first + len(words)] = lengths
        self._known += len(words)


class _Index(dict[str, int]):
    """Numbers words in the order of their first lookup."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number
