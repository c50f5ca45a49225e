"""What migrations of embedding models ask of the context stage: missing vectors, texts, pairs of vectors."""
