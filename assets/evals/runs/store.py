"""Stores results: a journal during a run, and a Parquet file per run, partitioned by set and subject, for reading.

    <root>/runs/<run>/run.json, journal.jsonl, trajectories/
    <root>/results/set=<name>/subject=<subject>/<run>.parquet

A thread writes its line of the journal before it starts its next case, so a killed run loses only the cases in flight.
Parquet files are replaced atomically and have one row per case and repeat.
"""

import contextlib
import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from .results import METRICS, ResultRow, RunRecord

if TYPE_CHECKING:
    import polars

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,119}")


class StoreError(RuntimeError):
    """A run does not exist, is damaged, cannot be written, or is being written by another process."""


class ResultStore:
    """All runs under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def runs(self) -> list[RunRecord]:
        """The record of every run, oldest first. Raises `StoreError` for a damaged one."""
        folder = self.root / "runs"
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        found = [self.record(name) for name in names if (folder / name / "run.json").is_file()]
        return sorted(found, key=lambda record: record.started)

    def folder(self, run: str) -> Path:
        if not RUN_NAME.fullmatch(run):
            raise StoreError(f"{run!r} is not a valid name of a run: use small letters, digits, '.', '_' and '-'")
        return self.root / "runs" / run

    def record(self, run: str) -> RunRecord:
        """Raises `StoreError` if there is no such run, or its record is damaged."""
        path = self.folder(run) / "run.json"
        try:
            return RunRecord.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise StoreError(f"there is no run {run!r}; `penstock eval runs` lists them") from None
        except (OSError, ValidationError) as error:
            raise StoreError(f"{path}: {error}") from error

    def resolve(self, name: str) -> RunRecord:
        """The run of this name, or the newest run of a subject or of `set/subject`. Raises `StoreError`."""
        if RUN_NAME.fullmatch(name) and (self.folder(name) / "run.json").is_file():
            return self.record(name)
        found = [record for record in self.runs() if name in (record.subject, f"{record.set_name}/{record.subject}")]
        if not found:
            raise StoreError(f"{name!r} is neither a run nor a subject with a run; `penstock eval runs` lists them")
        return found[-1]

    @contextlib.contextmanager
    def journal(self, record: RunRecord) -> Iterator["Journal"]:
        """Opens a new or existing run for writing. Raises `StoreError` if an existing run has other inputs, or another
        process is writing it."""
        folder = self.folder(record.run)
        (folder / "trajectories").mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(f"run {record.run} is being written by another process") from None
            if (folder / "run.json").is_file():
                wrong = self.record(record.run).differences(record)
                if wrong:
                    raise StoreError(
                        f"run {record.run} was started with other inputs ({'; '.join(wrong)}): use another name"
                    )
            else:
                write_whole(folder / "run.json", record.model_dump_json(indent=2).encode() + b"\n")
            journal = Journal(folder / "journal.jsonl")
            try:
                yield journal
            finally:
                journal.close()

    def rows(self, run: str) -> list[ResultRow]:
        """The rows of a run, finished or not, in order of case and repeat."""
        return read_journal(self.folder(run) / "journal.jsonl")

    def parquet(self, record: RunRecord) -> Path:
        return self.root / "results" / f"set={record.set_name}" / f"subject={record.subject}" / f"{record.run}.parquet"

    def settle(self, record: RunRecord) -> Path:
        """Rewrites a run's Parquet file if it is older than its journal or truncated. Returns the file.

        Raises `StoreError` if it cannot be written; the journal still holds every result.
        """
        path, journal = self.parquet(record), self.folder(record.run) / "journal.jsonl"
        if not _is_whole(path) or (journal.exists() and journal.stat().st_mtime_ns > path.stat().st_mtime_ns):
            stamp = journal.stat().st_mtime_ns if journal.exists() else 0
            with _replacing(path) as temporary:
                _write_parquet(frame(record, self.rows(record.run)), temporary)
                # The journal's time, so that a line added during the write makes the file out of date.
                os.utime(temporary, ns=(stamp, stamp))
        return path

    def settle_all(self) -> list[Path]:
        """Brings every Parquet file up to date. Returns all of them."""
        return [self.settle(record) for record in self.runs()]

    def load(self, record: RunRecord) -> "polars.DataFrame":
        """A run's rows as a data frame (columns: see `frame`), read from its Parquet file."""
        import polars

        return polars.read_parquet(self.settle(record), hive_partitioning=False)


class Journal:
    """Appends rows to a run's journal. Thread-safe; each row is one write to the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done = {row.key: row for row in read_journal(path)} if path.exists() else {}
        self._lock = threading.Lock()
        self._file = path.open("ab", buffering=0)
        whole = _whole_length(path)
        if whole < path.stat().st_size:
            self._file.truncate(whole)

    def append(self, row: ResultRow) -> None:
        """Raises `OSError` if the disk is full; then it leaves no partial line."""
        line = (json.dumps(asdict(row), separators=(",", ":")) + "\n").encode()
        with self._lock:
            before = os.fstat(self._file.fileno()).st_size
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(28, "no space left for a result", str(self._path))
            except OSError:
                self._file.truncate(before)
                raise
            self.done[row.key] = row

    def sync(self) -> None:
        """Flushes the file to disk, so that its rows survive a power failure."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        try:
            self.sync()
        finally:
            self._file.close()


def _write_parquet(rows: "polars.DataFrame", path: Path) -> None:
    import polars

    try:
        rows.write_parquet(path, compression="zstd")
    except (polars.exceptions.PolarsError, OSError) as error:
        raise StoreError(
            f"{path.parent}: the run's Parquet file cannot be written ({error}): free some disk space and try again; "
            f"no result is lost"
        ) from error


def _is_whole(path: Path) -> bool:
    """Whether a Parquet file exists and is not truncated: its metadata is at its end."""
    try:
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return file.read() == b"PAR1"
    except OSError:
        return False


def _whole_length(path: Path) -> int:
    content = path.read_bytes()
    return content.rfind(b"\n") + 1


def read_journal(path: Path) -> list[ResultRow]:
    """The rows, sorted by case and repeat. Of several lines for one case and repeat, the first counts that is not an
    infrastructure failure. A half-written last line is ignored. Raises `StoreError` naming any other damaged line."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    rows: dict[tuple[str, int], ResultRow] = {}
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = ResultRow(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise StoreError(f"{path}:{number}: damaged: {error}") from error
        known = rows.get(row.key)
        if known is None or known.success is None:
            rows[row.key] = row
    return [rows[key] for key in sorted(rows)]


def frame(record: RunRecord, rows: list[ResultRow]) -> "polars.DataFrame":
    """The rows as they are stored, with the version of every input in each. `METRICS` have their own columns; other
    metrics are JSON in `more`."""
    import polars as pl

    columns: dict[str, list[Any]] = {
        "case": [row.case for row in rows],
        "repeat": [row.repeat for row in rows],
        "cluster": [row.cluster for row in rows],
        "case_split": [row.split for row in rows],
        "strata": [json.dumps(row.strata, sort_keys=True) for row in rows],
        "outcome": [row.outcome for row in rows],
        "success": [row.success for row in rows],
        **{name: [row.metrics.get(name) for row in rows] for name in METRICS},
        "more": [json.dumps({k: v for k, v in row.metrics.items() if k not in METRICS}) for row in rows],
        "tries": [row.tries for row in rows],
        "ended": [row.ended for row in rows],
        "summary": [row.summary for row in rows],
        "trajectory": [row.trajectory for row in rows],
        "patch": [row.patch for row in rows],
        "load": [row.load for row in rows],
    }
    schema = {
        **dict.fromkeys(columns, pl.String),
        **dict.fromkeys(METRICS, pl.Float64),
        "load": pl.Float64,
        "repeat": pl.Int32,
        "tries": pl.Int32,
        "success": pl.Boolean,
    }
    inputs = {
        "run": record.run,
        "set": record.set_name,
        "set_version": record.set_version,
        "set_sha256": record.set_sha256,
        "split": record.split,
        "subject": record.subject,
        "identity": json.dumps(record.identity, sort_keys=True),
        "identity_digest": record.identity_digest,
        "code_commit": record.code_commit,
        **{name: record.identity.get(name) for name in ("engine", "model_digest", "prompt_hash", "index_version")},
        "started": record.started.isoformat(),
    }
    constants = [pl.lit(value, dtype=pl.String).alias(name) for name, value in inputs.items()]
    return pl.DataFrame(columns, schema=schema).with_columns(constants)


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file atomically: readers, and a machine after a power failure, see the old or the new content."""
    with _replacing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary file to write, which then replaces `path` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)
