"""Rounding of whole numbers."""


def round_up_to(value: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `value`."""
    if step <= 0:
        raise ValueError("the step must be positive")
    return -(-value // step) * step
