"""The versions of the embedding model and of chunking, which every eval result records."""

import hashlib

from assets.context.chunking.chunks import CONFIG
from assets.evals.runs.subject import SubjectCannotStart
from core.embedding import open_embedder
from core.embedding.protocol import EmbedderUnavailable
from core.settings import load_settings


def embedding_identity(model: str) -> dict[str, str]:
    """The versions of the embedding model and of chunking, by their keys in a subject's identity.

    Raises `SubjectCannotStart`.
    """
    try:
        identity = str(open_embedder(model, load_settings().models_folder).identity)
    except (EmbedderUnavailable, ValueError, OSError) as error:
        raise SubjectCannotStart(f"embedding model {model!r}: {error}") from error
    version = hashlib.sha256(f"{CONFIG}\n{identity}".encode()).hexdigest()[:16]
    return {
        "embedding_model": model, "embedding_digest": identity, "model_digest": identity, "index_version": version
    }  # fmt: skip
