"""Coverage of the Python processes that tests start, during the baseline run only.

Python imports this when it starts with this folder on PYTHONPATH; without PENSTOCK_HITS it does nothing.
"""

import os
import sys


def _cover(folder: str, root: str) -> None:
    import atexit
    import importlib.util

    place = os.path.join(os.path.dirname(os.path.dirname(__file__)), "instrument.py")  # noqa: PTH118, PTH120
    spec = importlib.util.spec_from_file_location("_penstock_instrument", place)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    instrumentation = module.Instrumentation(root, 3.0)
    instrumentation.install()
    lines: set[tuple[str, int]] = set()
    script = next((os.path.abspath(word) for word in sys.orig_argv[1:] if word.endswith(".py")), "")  # noqa: PTH100
    if script.startswith(root + "/"):
        # The interpreter compiles the script that it is started with without import hooks.
        relative = script[len(root) + 1 :]

        def trace(frame: object, event: str, argument: object) -> object:
            code = frame.f_code  # type: ignore[attr-defined]
            if os.path.abspath(code.co_filename) != script:  # noqa: PTH100
                return None
            lines.add((relative, frame.f_lineno))  # type: ignore[attr-defined]
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]

    def write() -> None:
        sys.settrace(None)
        lines.update(instrumentation.lines[n] for n in instrumentation.take())
        with open(os.path.join(folder, f"{os.getpid()}.hits"), "w") as handle:  # noqa: PTH118, PTH123
            handle.writelines(f"{line} {path}\n" for path, line in sorted(lines))

    atexit.register(write)


if os.environ.get("PENSTOCK_HITS") and os.environ.get("PENSTOCK_ROOT"):
    _cover(os.environ["PENSTOCK_HITS"], os.environ["PENSTOCK_ROOT"])
