"""Tells systemd how a service of `Type=notify` does (sd_notify(3)); does nothing elsewhere."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """`state` is such as `READY=1`."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(2.0)
        sender.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
