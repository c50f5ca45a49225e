import os
import tempfile

from logroll.files import atomic_write, entries, tail
from logroll.rolling import RollingLog


def folder():
    return tempfile.TemporaryDirectory()


def check_rolling():
    with folder() as name:
        path = os.path.join(name, "x")
        times = iter([5, 7, 7, 90])
        log = RollingLog(path, clock=lambda: next(times))
        for text in "abc":
            log.write(text)
        assert entries(path) == [(7, "a"), (7, "b"), (90, "c")]
    with folder() as name:
        log = RollingLog(os.path.join(name, "x"), max_bytes=100, clock=lambda: 100)
        log.write("\u00e9" * 40)
        log.write("\u00e9" * 10)
        assert len(os.listdir(name)) == 2
    with folder() as name:
        path = os.path.join(name, "x")
        log = RollingLog(path, max_bytes=100, clock=lambda: 100)
        log.write("a" * 40)
        log.write("b" * 40)
        assert os.listdir(name) == ["x"] and len(entries(path)) == 2
        log.write("\u20ac" * 25)
        assert len(os.listdir(name)) == 2 and os.path.getsize(path) == 80
    with folder() as name:
        path = os.path.join(name, "x")
        log = RollingLog(path, max_bytes=10, keep=3, clock=lambda: 1)
        for number in range(9):
            log.write(f"{number}-------")
        assert sorted(os.listdir(name)) == ["x", "x.1", "x.2", "x.3"]
        assert [tail(path + end)[0][2] for end in ("", ".1", ".2", ".3")] == ["8", "7", "6", "5"]


def check_files():
    with folder() as name:
        path = os.path.join(name, "x")
        atomic_write(path, "before")
        try:
            atomic_write(path, "new\ud800")
            raise AssertionError
        except UnicodeEncodeError:
            pass
        assert tail(path) == ["before"] and os.listdir(name) == ["x"]
        atomic_write(path, "\n".join(map(str, range(30))))
        assert tail(path) == [str(n) for n in range(20, 30)] and tail(path, 0) == [] and tail(path, 1) == ["29"]
        assert len(tail(path, 31)) == 30 and len(tail(path, 30)) == 30


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
