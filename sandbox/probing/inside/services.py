"""What must work inside. These return what is wrong, and are refused when all is right."""

import os
import time

from .attempt import Plan, Refused, attempt

_SLACK = 2.0


@attempt("must work", "clock", "compares the clock with the host's, and checks that time passes")
def clock(plan: Plan) -> str:
    now = time.time()
    if not plan["now"] - _SLACK <= now <= plan["now"] + plan["most_seconds"]:
        return f"the clock is {now - plan['now']:+.0f} s from the host's"
    began = time.monotonic_ns()
    for _ in range(10_000_000):
        if time.monotonic_ns() > began and time.time() > now:
            raise Refused(f"{now - plan['now']:.1f} s after the host read its own")
    return "the clock stands still"


@attempt("must work", "random numbers", "reads random bytes from the kernel twice, by system call and by device")
def randomness(plan: Plan) -> str:
    with open("/dev/urandom", "rb") as file:  # noqa: PTH123
        blocks = [os.urandom(32), os.urandom(32), file.read(32), file.read(32)]
    if len(set(blocks)) < len(blocks) or any(len(set(block)) < 8 for block in blocks):
        return "random bytes repeat"
    raise Refused("four blocks of 32 bytes differ")
