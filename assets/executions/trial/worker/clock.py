"""The clocks of the worker, kept where a test that replaces those of the `time` module does not reach them.

Programs that freeze time replace the functions in `time` and in every module that imported them by name.
"""

import time


class _Clock:
    """`now` is the monotonic clock, `cpu` the processor time of this process, both in seconds."""

    __slots__ = ()
    now = staticmethod(time.monotonic)
    cpu = staticmethod(time.process_time)


clock = _Clock()
