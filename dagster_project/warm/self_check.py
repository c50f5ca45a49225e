"""Tests the Dagster internals that the warm launcher uses: `python -m dagster_project.warm.self_check`.

It stores a run of a small job in a temporary instance, executes it in a forked process and reads the result. `problem`
says why that fails with the installed version; a version that passed is not tested again.
"""

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from dagster_project.warm.process import ROOT

TIMEOUT_SECONDS = 120.0


def problem(cache: Path) -> str | None:
    """Why the warm launcher does not work here, in a sentence, or None if it works. `cache` is a file that records a
    success."""
    version = _version()
    if cache.is_file() and cache.read_text(encoding="utf-8") == version:
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dagster_project.warm.self_check"],
            cwd=ROOT,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its self-check did not end within {TIMEOUT_SECONDS:.0f} s"
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"its self-check ended with code {done.returncode}"
    cache.write_text(version, encoding="utf-8")
    return None


def _version() -> str:
    """The versions of Dagster and Python, and a hash of this package's code."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("dagster", "dagster-postgres")]
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
    return "; ".join([*versions, f"python {sys.version.split()[0]}", code.hexdigest()[:16]])


def main() -> None:
    """Raises an exception, whose last line names the problem, if a needed internal does not work as expected."""
    from dagster import DagsterInstance, DagsterRunStatus
    from dagster._daemon.daemon import SensorDaemon

    from dagster_project.warm import self_check_job
    from dagster_project.warm.dagster_internals import (
        execute_stored_run,
        serialised_instance,
        shorten_sensor_loop,
        store_run,
    )
    from dagster_project.warm.dagster_storage import pool_connections
    from dagster_project.warm.launcher import WarmRunLauncher
    from dagster_project.warm.turns import paced

    shorten_sensor_loop(0.2)
    paced([SensorDaemon({"use_threads": True, "num_workers": 1})], lambda: None, 0.2)
    pool_connections()
    with tempfile.TemporaryDirectory() as folder:
        launcher = {"module": WarmRunLauncher.__module__, "class": WarmRunLauncher.__name__, "config": {"socket": "x"}}
        (Path(folder) / "dagster.yaml").write_text(
            f"run_launcher: {launcher}\ntelemetry: {{enabled: false}}\n", encoding="utf-8"
        )
        with DagsterInstance.from_config(folder) as instance:
            run = store_run(instance, self_check_job.check)
            serialised = serialised_instance(instance)
            if said := _forked(lambda: execute_stored_run(run.run_id, serialised)):
                raise RuntimeError(f"a forked process could not execute a stored run: {said}")
            ended = instance.get_run_by_id(run.run_id)
            if ended is None or ended.status != DagsterRunStatus.SUCCESS:
                raise RuntimeError(f"a forked run ended as {ended.status.value if ended else 'lost'}, not as SUCCESS")


def _forked(work: Callable[[], None]) -> str:
    """Runs `work` in a forked process. Returns its error in one line, or an empty string."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        said = ""
        try:
            work()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode()[:2000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return " ".join(said.split()) or (f"it was killed by signal {os.WTERMSIG(status)}" if status else "")


if __name__ == "__main__":
    main()
