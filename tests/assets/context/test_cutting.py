import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assets.context.indexing import cutting
from assets.context.indexing.cutting import File, cut_all
from assets.context.store.batch import ContentBatch, Key
from core.worker import WorkerUnavailable

CHUNKER = "any-1"


def files(count: int) -> Iterator[File]:
    for number in range(count):
        yield f"{number:040x}", f"def name_{number}():\n    return {number}\n".encode(), {CHUNKER: f"m{number}.py"}
    yield f"{count:040x}", b"\x89PNG\0", {CHUNKER: "picture.png"}


def merged(parts: Iterator[ContentBatch]) -> ContentBatch:
    whole = ContentBatch()
    for part in parts:
        whole.merge(part)
    return whole


def plain(batch: ContentBatch) -> dict[str, object]:
    postings = [(term, slots.tolist(), counts.tolist()) for term, slots, counts in batch.postings.arrays()]
    return {**vars(batch), "postings": postings}


def test_workers_return_what_the_calling_process_computes_in_the_same_order() -> None:
    here, there = merged(cut_all(files(300), 1)), merged(cut_all(files(300), 301))
    assert plain(here) == plain(there)
    assert here.chunks == 300
    assert here.skipped == [((f"{300:040x}", CHUNKER), "binary")]
    found = {term: (slots.tolist(), counts.tolist()) for term, slots, counts in here.postings.arrays()}
    assert found["=:name_7"] == ([7], [1])
    assert found["return"][0] == list(range(300))


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[bytes, str], None]:
    """Makes the worker processes run a statement when they cut a file that contains a text."""

    def inject(text: bytes, statement: str) -> None:
        (tmp_path / "faulty_cutting.py").write_text(
            "import os, signal, time\nfrom assets.context.indexing import cutting\ncut = cutting.cut\n"
            f"def faulty(raw, language):\n    if {text!r} in raw: {statement}\n    return cut(raw, language)\n"
            "cutting.cut = faulty\ncutting.main()\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(cutting, "MODULE", "faulty_cutting")

    return inject


def test_a_file_that_crashes_its_worker_is_skipped_and_the_others_are_cut(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[bytes, str], None]
) -> None:
    fault(b"name_77(", "os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(cutting, "JOB_FILES", 20)
    whole = merged(cut_all(files(300), 301))
    key: Key = (f"{77:040x}", CHUNKER)
    assert (key, "its parser crashed or timed out") in whole.skipped
    assert len(whole.keys) == whole.chunks == 299
    assert len(set(whole.keys)) == 299


def test_a_file_that_never_ends_is_skipped(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[bytes, str], None]
) -> None:
    fault(b"name_3(", "time.sleep(600)")
    monkeypatch.setattr(cutting, "FEW_FILES", 0)
    monkeypatch.setattr(cutting, "JOB_TIMEOUT", 10.0)
    whole = merged(cut_all(files(4), 5))
    assert [reason for _, reason in whole.skipped] == ["its parser crashed or timed out", "binary"]
    assert len(whole.keys) == 3


def test_workers_end_when_the_generator_is_closed_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "JOB_FILES", 10)
    started: list[int] = []
    popen = subprocess.Popen

    def noted(*arguments: object, **options: object) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] = popen(*arguments, **options)  # type: ignore[call-overload]
        started.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", noted)
    parts = cut_all(files(300), 301)
    next(parts)
    parts.close()
    assert started
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "MODULE", "assets.context.indexing.no_such_module")
    with pytest.raises(WorkerUnavailable, match="No module named"):
        merged(cut_all(files(300), 301))


@pytest.mark.parametrize("count", [0, 1])
def test_few_files_are_cut_without_a_worker(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert len(merged(cut_all(files(count), count + 1)).keys) == count
