"""Texts of like length together, in groups that a model takes at once. Knows nothing of models."""

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], limit: int, most: int | None = None) -> Iterator[list[int]]:
    """Places of `lengths`, longest first, in groups that padded to their longest hold at most `limit` in all.

    A single text may be longer than `limit`. A group has at most `most` places.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        # Longest first: the first of a batch is its width.
        if batch and (lengths[batch[0]] * (len(batch) + 1) > limit or len(batch) == most):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
