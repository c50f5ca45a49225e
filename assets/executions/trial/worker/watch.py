"""What the tests asked the operating system for: connections, addresses, processes. Seen by an audit hook."""

import sys
from typing import Any

_MOST = 12
_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.spawn")
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto")
_WATCHED = frozenset((*_STARTS, *_NETWORK, "socket.bind"))
_isinstance, _str, _len, _bytes, _tuple, _repr = isinstance, str, len, bytes, tuple, repr


class Watch:
    """Records events from `install` on; `take` returns those since the last call. The hook cannot be removed."""

    def __init__(self) -> None:
        self.spawned = False
        """Whether a process was started since the last call of `take`."""
        self._bound = False
        self._asked: list[str] = []
        self._programs: list[list[str]] = []

    def install(self) -> None:
        sys.addaudithook(self._hook)

    def around(self) -> dict[str, Any]:
        """{"asked": addresses, "programs": [[program, working folder]], "bound": whether this process ever offered a
        service}"""
        return {"asked": self._asked[:], "programs": self._programs[:], "bound": self._bound}

    def clear(self) -> None:
        self.spawned = False
        self._asked, self._programs = [], []

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _WATCHED:
            return
        try:
            if event == "socket.bind":
                self._bound = self._bound or _address(arguments[1]) != ""
            elif event in _STARTS:
                self.spawned = True
                if _len(self._programs) < _MOST:
                    self._programs.append(_program(event, arguments))
            elif _len(self._asked) < _MOST:
                at = 1 if event in ("socket.connect", "socket.sendto") else 0
                self._asked.append(_address(arguments[at]))
        except Exception:
            return


def _address(value: Any) -> str:
    if _isinstance(value, _tuple) and _len(value) >= 2:
        return f"{value[0]}:{value[1]}"[:300]
    if _isinstance(value, _bytes):
        return _str(value[:300], "utf-8", "replace")
    return _str(value[:300]) if _isinstance(value, _str) else ""


def _program(event: str, arguments: tuple[Any, ...]) -> list[str]:
    command = arguments[1] if event == "subprocess.Popen" else arguments[0]
    folder = arguments[2] if event == "subprocess.Popen" else None
    if _isinstance(command, (_tuple, list)):
        command = " ".join(part for part in command[:20] if _isinstance(part, _str))
    return [_str(command)[:500], _str(folder or "")[:300]]
