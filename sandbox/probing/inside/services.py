"""What must work inside. These return what is wrong, and are refused when all is right."""

import os
import time

from .attempt import Plan, Refused, attempt

SLACK = 2.0
"""How many seconds the clock may differ from the host's."""


@attempt("must work", "clock", "compares the clock with the host's, and checks that time passes")
def clock(plan: Plan) -> str:
    now = time.time()
    with open("clock", "w") as file:  # noqa: PTH123
        file.write(repr(now))  # for the host, which compares it with its own at the end
    if now < plan["now"] - SLACK:
        return f"the clock is {plan['now'] - now:.0f} s behind the host's"
    began = time.monotonic_ns()
    for _ in range(1_000_000):
        if time.monotonic_ns() > began and time.time() > now:
            raise Refused("it agrees with the host's, and time passes")
    return "the clock stands still"


@attempt("must work", "random numbers", "reads random bytes from the kernel twice, by system call and by device")
def randomness(plan: Plan) -> str:
    with open("/dev/urandom", "rb") as file:  # noqa: PTH123
        blocks = [os.urandom(32), os.urandom(32), file.read(32), file.read(32)]
    if len(set(blocks)) < len(blocks) or any(len(set(block)) < 8 for block in blocks):
        return "random bytes repeat"
    raise Refused("four blocks of 32 bytes differ")
