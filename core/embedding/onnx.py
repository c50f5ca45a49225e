"""A transformer from an ONNX file: tokenize, run, pool the token vectors, scale to unit length.

The tokenizer's file defines the tokens; pooling, prefixes and the maximum length come from the model's card. Not for
graphs that pool by themselves: the output must have one vector for each token.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.embedding.batches import batches
from core.embedding.protocol import EmbedderUnavailable, Vectors, WrongAnswer, unit_rows
from core.embedding.spec import OnnxFile

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]
    from tokenizers import Tokenizer

_BATCH_TOKENS = 512
"""Padded tokens in one run: as many as fit into a core's cache. More is slower and takes more memory."""
_TOKENIZED_AT_ONCE = 4096
_CHARACTERS_PER_TOKEN = 24


class OnnxEmbedder:
    """Nothing is loaded before the first text. `threads` limits the cores used; 0 uses all."""

    def __init__(self, spec: OnnxFile, *, threads: int = 0) -> None:
        self._spec = spec
        self._threads = threads or len(os.sched_getaffinity(0))
        self._identity: str | None = None
        self._loaded: _Loaded | None = None
        self._parents: _Loaded | None = None
        self._pid = 0
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """The digest covers the graph, the tokenizer, pooling, prefixes and the maximum length."""
        if self._identity is None:
            spec, digest = self._spec, hashlib.sha256()
            for name in (spec.file, spec.tokenizer):
                with self._open(spec.folder / name) as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            use = (spec.pooling, str(spec.max_tokens), spec.query_prefix, spec.document_prefix)
            digest.update("\0".join(use).encode())
            self._identity = f"{spec.name}-{spec.dimensions}@sha256:{digest.hexdigest()[:16]}"
        return self._identity

    @property
    def dimensions(self) -> int:
        return self._spec.dimensions

    @property
    def max_tokens(self) -> int:
        return self._spec.max_tokens

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, self._spec.document_prefix)

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = self._embed([text], self._spec.query_prefix)[0]
        return vector

    def count_tokens(self, texts: Sequence[str]) -> int:
        """The number of tokens that the model reads when it embeds these texts as documents."""
        with self._lock:
            loaded = self._ready()
            return sum(map(len, loaded.tokenize([self._cut(text, self._spec.document_prefix) for text in texts])))

    def _cut(self, text: str, prefix: str) -> str:
        # A lone surrogate cannot be tokenized.
        return prefix + text[: self.max_tokens * _CHARACTERS_PER_TOKEN].encode("utf-8", "replace").decode()

    def _embed(self, texts: Sequence[str], prefix: str) -> Vectors:
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        with self._lock:
            for first in range(0, len(texts), _TOKENIZED_AT_ONCE):
                some = texts[first : first + _TOKENIZED_AT_ONCE]
                # The vector of a text without words stays all zeros; the model would embed its special tokens.
                rows = [first + place for place, text in enumerate(some) if text.strip()]
                tokens = self._ready().tokenize([self._cut(texts[row], prefix) for row in rows])
                for batch in batches([len(ids) for ids in tokens], self._ready().batch_tokens):
                    vectors = self._ready().run([tokens[place] for place in batch], self._spec.pooling)
                    out[[rows[place] for place in batch]] = vectors
        return unit_rows(out)

    def _ready(self) -> "_Loaded":
        if self._loaded is None or self._pid != os.getpid():
            # A forked child lacks the runtime's threads, and closing the parent's session would wait for them.
            self._parents = self._loaded
            self._loaded, self._pid = self._load(), os.getpid()
        return self._loaded

    def _load(self) -> "_Loaded":
        try:
            import onnxruntime
        except ImportError as error:
            raise EmbedderUnavailable("onnxruntime is not installed: pip install onnxruntime") from error
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        spec = self._spec
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take a core from other processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with self._open(spec.folder / spec.tokenizer) as file:
            raw_tokenizer = file.read()
        with self._open(spec.folder / spec.file) as file:
            graph = file.read()
        try:
            tokenizer = Tokenizer.from_buffer(raw_tokenizer)
            session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # both libraries raise plain Exception
            raise EmbedderUnavailable(
                f"the files in {spec.folder} are not a model and its tokenizer: {error}"
            ) from error
        width = session.get_outputs()[0].shape[-1]
        if len(session.get_outputs()[0].shape) != 3 or (isinstance(width, int) and width != spec.dimensions):
            raise EmbedderUnavailable(
                f"{spec.folder / spec.file} gives {session.get_outputs()[0].shape}, not one vector of "
                f"{spec.dimensions} numbers a token: correct `dimensions`, or use a graph that does not pool"
            )
        tokenizer.no_padding()
        tokenizer.enable_truncation(spec.max_tokens)
        # Such a graph scales by the largest value of the batch, so a text's vector would depend on the other texts.
        alone = b"DynamicQuantizeLinear" in graph
        return _Loaded(session, tokenizer, spec.dimensions, 0 if alone else _BATCH_TOKENS)

    def _open(self, path: Path) -> Any:
        try:
            return path.open("rb")
        except OSError as error:
            raise EmbedderUnavailable(
                f"{path}: {error.strerror}; the model {self._spec.name} needs this file next to its description"
            ) from error


class _Loaded:
    """A session and its tokenizer. `batch_tokens` is the maximum of padded tokens in one run; 0: one text per run."""

    def __init__(self, session: "InferenceSession", tokenizer: "Tokenizer", dimensions: int, batch_tokens: int) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._dimensions = dimensions
        self._inputs = {given.name for given in session.get_inputs()}
        self.batch_tokens = batch_tokens

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        return [encoded.ids for encoded in self._tokenizer.encode_batch_fast(texts)]

    def run(self, tokens: list[list[int]], pooling: str) -> NDArray[np.float32]:
        """The pooled vectors of one batch, shape (texts, dimensions). Raises `WrongAnswer` for any other output."""
        lengths = np.array([len(ids) for ids in tokens])
        width = int(lengths.max())
        ids = np.zeros((len(tokens), width), dtype=np.int64)
        mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
        ids[mask.astype(bool)] = np.concatenate([np.array(row, dtype=np.int64) for row in tokens])
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = np.asarray(self._session.run(None, {name: given[name] for name in given if name in self._inputs})[0])
        if hidden.shape != (*ids.shape, self._dimensions):
            raise WrongAnswer(f"the model gave {hidden.shape} for {ids.shape} tokens of {self._dimensions}")
        if pooling == "cls":
            pooled: NDArray[np.float32] = hidden[:, 0].astype(np.float32)
        else:
            pooled = (np.einsum("bth,bt->bh", hidden, mask.astype(np.float32)) / lengths[:, None]).astype(np.float32)
        if not np.isfinite(pooled).all():
            raise WrongAnswer("the model gave a vector that is not a number")
        return pooled
