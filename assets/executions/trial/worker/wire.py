"""JSON lines between the worker and the host, on private copies of standard input and output.

The repository's own code sees `/dev/null` on descriptors 0 to 2, so that what it prints or reads can neither
corrupt the messages nor use up the output limit.
"""

import json
import os
from typing import Any

Message = dict[str, Any]


class Wire:
    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._buffer = b""

    @classmethod
    def take_over(cls) -> "Wire":
        """Moves the messages to copies of descriptors 0 and 1, and points 0, 1 and 2 at `/dev/null`."""
        incoming, outgoing = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        return cls(incoming, outgoing)

    def send(self, message: Message) -> None:
        data = json.dumps(message, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        while data:
            data = data[os.write(self._outgoing, data) :]

    def receive(self) -> Message | None:
        """The next command, or None at end of input."""
        while b"\n" not in self._buffer:
            chunk = os.read(self._incoming, 1 << 16)
            if not chunk:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        command: Message = json.loads(line)
        return command
