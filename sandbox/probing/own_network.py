"""A network namespace of this process's own, in which addresses of other machines lead to listeners of the probe.

Only root enters one: an unprivileged user would need a user namespace too, which changes what the sandbox can do.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterable

_CLONE_NEWNET = 0x40000000
_SET_ADDRESS, _SET_FLAGS = 0x8916, 0x8914
_UP = 0x41


def enter(addresses: Iterable[str]) -> bool:
    """Moves this process, which must have one thread, into a new network namespace, and gives its loopback the
    addresses. False, and nothing is changed, when this user may not."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        flags = struct.pack("16sH22x", b"lo", _UP)
        fcntl.ioctl(one, _SET_FLAGS, flags)
        for number, address in enumerate(addresses):
            place = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(one, _SET_ADDRESS, struct.pack("16s16s8x", f"lo:{number}".encode(), place))
    return True
