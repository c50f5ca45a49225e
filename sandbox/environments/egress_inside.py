"""Runs inside the fetch step's network namespace: passes TCP connections of loopback on to the proxy's Unix socket.

    python -I -S egress_inside.py SOCKET PROGRAM ARGUMENT ...

Starts the program with the addresses of the proxy in its environment, and ends as it ends. Many programs use no proxy
for loopback: PENSTOCK_LOOPBACK holds ports, separated by commas, that are passed on to the same port of the proxy's
loopback. Standard library alone.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading

_CHUNK = 1 << 16


def main() -> None:
    path, *command = sys.argv[1:]
    environment = dict(os.environ)
    for port in filter(None, environment.pop("PENSTOCK_LOOPBACK", "").split(",")):
        with contextlib.suppress(OSError):  # below 1024, which is not allowed here
            _listen(int(port), path, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
    address = f"http://127.0.0.1:{_listen(0, path)}"
    environment |= {"HTTPS_PROXY": address, "HTTP_PROXY": address, "ALL_PROXY": address}
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def _listen(port: int, path: str, first: bytes = b"") -> int:
    """Serves a port (0: any); each connection begins with the request `first` to the proxy. Returns the port."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    threading.Thread(target=_serve, args=(listener, path, first), daemon=True).start()
    return int(listener.getsockname()[1])


def _serve(listener: socket.socket, path: str, first: bytes) -> None:
    while True:
        client, _ = listener.accept()
        proxy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            proxy.connect(path)
            if first and not _established(proxy, first):
                raise OSError("the proxy refuses the connection")
        except OSError:
            proxy.close()
            client.close()
            continue
        for one, other in ((client, proxy), (proxy, client)):
            threading.Thread(target=_move, args=(one, other), daemon=True).start()


def _established(proxy: socket.socket, request: bytes) -> bool:
    """Sends a CONNECT request, and reads the head of the answer and no byte more."""
    proxy.sendall(request)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = proxy.recv(1)
        if not byte or len(head) > _CHUNK:
            return False
        head += byte
    return head.split(b" ")[1:2] == [b"200"]


def _move(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
