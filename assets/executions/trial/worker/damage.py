"""What a test can do to its process that would break the tests after it, or the reports about them."""

import signal
import sys
from typing import Any

_set_recursion_limit, _mask = sys.setrecursionlimit, signal.pthread_sigmask
_MODULES = ("builtins", "sys", "os", "io", "time", "signal", "threading", "pytest", "_pytest", "_pytest.runner")
_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "sleep")


class Damage:
    """Compares the process with what it was when this was made. `config` is pytest's, whose captured output a test can
    close."""

    def __init__(self, config: Any) -> None:
        capture = getattr(config.pluginmanager.getplugin("capturemanager"), "_global_capturing", None)
        self._captured = [getattr(stream, "tmpfile", None) for stream in (capture.out, capture.err)] if capture else []
        self._limit = sys.getrecursionlimit()
        self._modules = {name: sys.modules.get(name) for name in _MODULES}
        self._builtins = dict(vars(sys.modules["builtins"]))
        self._clocks = {name: vars(sys.modules["time"])[name] for name in _CLOCKS}

    def repair(self) -> None:
        """Puts back the recursion limit and the signal mask, which take effect at once."""
        try:
            _set_recursion_limit(self._limit)
        except RecursionError:
            return
        _mask(signal.SIG_UNBLOCK, (signal.SIGALRM, signal.SIGPROF))

    def beyond_repair(self) -> bool:
        """Whether the next test needs another process: built-in names, clocks or modules that everything needs were
        replaced, or an output stream is closed."""
        try:
            for name, module in self._modules.items():
                if sys.modules.get(name) is not module:
                    return True
            builtins, clocks = self._modules["builtins"].__dict__, self._modules["time"].__dict__
            for name, value in self._builtins.items():
                if name != "_" and builtins.get(name) is not value:
                    return True
            for name, value in self._clocks.items():
                if clocks.get(name) is not value:
                    return True
            return any(stream is None or stream.closed for stream in (*self._captured, sys.stdout, sys.stderr))
        except BaseException:
            return True
