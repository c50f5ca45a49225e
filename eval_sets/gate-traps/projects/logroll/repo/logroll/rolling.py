"""A log file that is set aside when it grows."""

import os
import time


class RollingLog:
    """Appends lines to `path`. Before it would exceed `max_bytes`, it becomes `path.1`, that one `path.2`, and so on;
    at most `keep` old files stay."""

    def __init__(self, path, max_bytes=1000, keep=2, clock=time.time):
        self.path = os.fspath(path)
        self.max_bytes = max_bytes
        self.keep = keep
        self.clock = clock
        self.started = int(clock())

    def write(self, text):
        """Adds a line with the time in seconds before it."""
        data = f"{int(self.clock())} {text}\n".encode()
        if self._size() + len(data) > self.max_bytes:
            self.rotate()
        with open(self.path, "ab") as file:
            file.write(data)

    def rotate(self):
        if not os.path.exists(self.path):
            return
        for number in range(self.keep, 0, -1):
            newer = f"{self.path}.{number - 1}" if number > 1 else self.path
            if os.path.exists(newer):
                os.replace(newer, f"{self.path}.{number}")

    def _size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0
