"""Runs inside the fetch step's network namespace: passes TCP connections of loopback on to the proxy's Unix socket.

    python -I -S egress_inside.py SOCKET PROGRAM ARGUMENT ...

Starts the program with the addresses of the proxy in its environment, and ends as it ends. Standard library alone.
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
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=_serve, args=(listener, path), daemon=True).start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    environment = {**os.environ, "HTTPS_PROXY": address, "HTTP_PROXY": address, "ALL_PROXY": address}
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def _serve(listener: socket.socket, path: str) -> None:
    while True:
        client, _ = listener.accept()
        proxy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            proxy.connect(path)
        except OSError:
            client.close()
            continue
        for one, other in ((client, proxy), (proxy, client)):
            threading.Thread(target=_move, args=(one, other), daemon=True).start()


def _move(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
