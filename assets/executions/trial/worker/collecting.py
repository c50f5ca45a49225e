"""Collection that one test file cannot stop: not by `sys.exit`, by never ending, nor by ending the process."""

import mmap
from collections.abc import Generator
from typing import Any

import pytest

from .alarm import Alarm, Hang

_SIZE = 4096
MOST_CRASHES = 8
"""At most this many files may end the process while they are imported."""


class Marker:
    """The name of the file that is being collected, in memory shared with the parent process."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)

    def write(self, name: str) -> None:
        data = name.encode("utf-8", "surrogateescape")[: _SIZE - 1]
        self._memory.seek(0)
        self._memory.write(data + b"\0")

    def read(self) -> str:
        return self._memory[:].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


class ProcessEnded(Exception):
    """Importing a file ended the process."""


class Guard:
    """A pytest plugin that reports a file which stops the collection as one that cannot be collected. `ended` are files
    that are known to end the process; `seconds` is the time that importing one file may take."""

    def __init__(self, marker: Marker, ended: dict[str, str], seconds: float) -> None:
        self.marker = marker
        self._ended, self._seconds = ended, seconds
        self.stopped: dict[str, BaseException] = {}
        """What stopped the collection of each file."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> pytest.CollectReport | None:
        """A report without collecting, for a file that ends the process."""
        why = self._ended.get(collector.nodeid)
        return None if why is None else self._failed(collector, ProcessEnded(why))

    def watch(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Surrounds the collection of `collector`, as a part of pytest's hook wrapper; returns the report."""
        if not isinstance(collector, pytest.File):
            return (yield)
        self.marker.write(collector.nodeid)
        alarm = Alarm(self._seconds, self._seconds)
        try:
            alarm.start()
            report = yield
            alarm.stop()
        except (SystemExit, KeyboardInterrupt, pytest.exit.Exception, Hang) as error:
            alarm.surely_stop()
            return self._failed(collector, error)
        finally:
            alarm.surely_stop()
        return report

    def _failed(self, collector: pytest.Collector, error: BaseException) -> pytest.CollectReport:
        self.stopped[collector.nodeid] = error
        return pytest.CollectReport(collector.nodeid, "failed", f"{type(error).__name__}: {error}", [])
