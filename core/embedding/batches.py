"""Groups texts of similar length into batches. Independent of any model."""

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], limit: int, most: int | None = None) -> Iterator[list[int]]:
    """Positions in `lengths`, longest first, in batches whose size, padded to the longest text, is at most `limit`.

    A single text may be longer than `limit`. A batch has at most `most` positions.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        # Longest first: the first text of a batch is its padded width.
        if batch and (lengths[batch[0]] * (len(batch) + 1) > limit or len(batch) == most):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
