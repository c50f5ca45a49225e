"""Attempts to reach another network: by TCP, UDP, DNS, raw packets and vsock.

Where the listener of the probe cannot have an address of another machine, a connected datagram socket tells whether a
route leads there; that sends nothing.
"""

import errno
import os
import socket
import struct

from .attempt import Plan, Refused, attempt

_NAMELESS = ("lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0")
"""Interfaces that the kernel adds to every network namespace."""
_VSOCK_LOCAL = 1


def _connect(family: int, address: tuple[str | int, int]) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        one.connect(address)
        one.sendall(b"probe")
    return f"connected to {address!r}"


def _lacks_ipv6() -> str | None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return "this machine has no IPv6 on loopback"
    return None


def _lacks_vsock() -> str | None:
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except (OSError, AttributeError):
        return "this kernel has no vsock"
    return None


@attempt("network", "TCP to the host", "connects to a listener of the host on 127.0.0.1")
def tcp(plan: Plan) -> str:
    return _connect(socket.AF_INET, ("127.0.0.1", plan["tcp"]))


@attempt("network", "TCP to the host by IPv6", "connects to a listener of the host on ::1", _lacks_ipv6)
def tcp6(plan: Plan) -> str:
    return _connect(socket.AF_INET6, ("::1", plan["tcp6"]))


@attempt("network", "UDP to the host", "sends a datagram to a listener of the host, which looks whether it arrives")
def udp(plan: Plan) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("127.0.0.1", plan["udp"]))
        one.send(plan["marker"].encode())
        one.settimeout(1)
        answer = one.recv(100)
    return f"the host answered {answer!r}"


def query(name: str) -> bytes:
    """A DNS query for the address of a name (RFC 1035)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!6H", 0x5053, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)


@attempt("network", "DNS query", "asks a name server of the host, on loopback")
def dns(plan: Plan) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(2)
        one.connect(("127.0.0.1", plan["dns"]))
        one.send(query(plan["name"]))
        answer = one.recv(512)
    return f"a name server answered with {len(answer)} bytes"


@attempt("network", "DNS settings", "reads which name servers the host uses")
def resolver(plan: Plan) -> str:
    with open("/etc/resolv.conf") as file:  # noqa: PTH123
        servers = [line.split()[1] for line in file if line.startswith("nameserver") and len(line.split()) > 1]
    if not servers:
        raise Refused("/etc/resolv.conf names no server")
    return f"{len(servers)} name servers: {', '.join(servers)}"


def _elsewhere(plan: Plan, address: str, port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((address, port))  # sends nothing
        route = f"a route leads to {address} from {one.getsockname()[0]}"
    return _connect(socket.AF_INET, (address, port)) if plan["own_network"] else route


@attempt("network", "metadata address", "reaches 169.254.169.254, where clouds hand out credentials of the machine")
def metadata(plan: Plan) -> str:
    return _elsewhere(plan, "169.254.169.254", 80)


@attempt("network", "another machine", "reaches an address outside, 192.0.2.1 (reserved for documentation)")
def another(plan: Plan) -> str:
    return _elsewhere(plan, "192.0.2.1", 443)


@attempt("network", "interfaces", "looks for a network interface besides an own loopback")
def interfaces(plan: Plan) -> str:
    names = [name for _, name in socket.if_nameindex()]
    found = [name for name in names if name not in _NAMELESS]
    if not found and not _has_address(names):
        raise Refused(f"only {', '.join(names) or 'no interface'}")
    return f"{', '.join(found) or 'an address on loopback'} leads outside"


def _has_address(names: list[str]) -> bool:
    """Whether a loopback interface has the address that the parent of the sandbox has, and so is the parent's."""
    if "lo" not in names:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.bind(("192.0.2.1", 0))
        except OSError:
            return False
    return True


@attempt("network", "raw sockets", "opens sockets for raw IP and Ethernet packets")
def raw(plan: Plan) -> str:
    refusals = []
    for family, protocol in ((socket.AF_INET, socket.IPPROTO_ICMP), (socket.AF_PACKET, 0)):
        try:
            socket.socket(family, socket.SOCK_RAW, protocol).close()
        except OSError as error:
            refusals.append(errno.errorcode.get(error.errno or 0, "?"))
        else:
            return f"a raw socket of the family {family.name}"
    raise Refused(f"refused: {', '.join(refusals)}")


@attempt("network", "vsock", "opens a socket to the hypervisor, which network namespaces do not isolate", _lacks_vsock)
def vsock(plan: Plan) -> str:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as one:
        if not plan["vsock"]:
            return "opened a vsock socket"
        one.settimeout(3)
        one.connect((_VSOCK_LOCAL, plan["vsock"]))
    return f"connected to the host's vsock port {plan['vsock']}"


@attempt("network", "inherited connections", "looks for open sockets that it was started with")
def inherited(plan: Plan) -> str:
    for number in range(3, 256):
        try:
            facts = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
        except OSError:
            continue
        if facts.startswith("socket:"):
            return f"descriptor {number} is {facts}"
    raise Refused("no descriptor is a socket")
