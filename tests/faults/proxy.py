"""A TCP proxy of loopback that can drop what goes in either direction, as a partition of the network does."""

import contextlib
import socket
import threading


class Proxy:
    """`inwards` and `outwards`: whether bytes to and from the server pass. What is dropped is not sent later; `heal`
    closes the connections that lost some."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.inwards = self.outwards = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lost: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def heal(self) -> None:
        self.inwards = self.outwards = True
        with self._lock:
            for one in list(self._lost):
                _close(one)
            self._lost.clear()

    def close(self) -> None:
        _close(self._listener)
        with self._lock:
            for one in list(self._open):
                _close(one)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, timeout=2)
                far.settimeout(None)
            except OSError:
                _close(near)
                continue
            with self._lock:
                self._open |= {near, far}
            for source, sink, inwards in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._copy, args=(source, sink, inwards), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, inwards: bool) -> None:
        try:
            while data := source.recv(65_536):
                if self.inwards if inwards else self.outwards:
                    sink.sendall(data)
                else:
                    with self._lock:
                        self._lost |= {source, sink}
        except OSError:
            pass
        finally:
            for one in (source, sink):
                _close(one)
            with self._lock:
                self._open -= {source, sink}


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
