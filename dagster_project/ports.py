"""Ports of the platform's servers."""

import socket

from dagster_project.parts import StartFailed


def free_port(host: str) -> int:
    """A port that is free now. Another process may take it before the caller does."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def taken(host: str, port: int) -> bool:
    """Whether nothing can listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def chosen_port(name: str, host: str, port: int) -> int:
    """The port that a part gets: a free one for 0. Raises `StartFailed` if another program uses it."""
    if port == 0:
        return free_port(host)
    if taken(host, port):
        option = "--port" if name == "gateway" else f"--{name}-port"
        raise StartFailed(
            f"port {port} on {host} is in use: stop the program that uses it, or give another to {option} or "
            f"PENSTOCK_{name.upper()}_PORT (0 selects a free one)"
        )
    return port
