"""Where a host's name leads: to the public internet, or into somebody's own network, where requests from here are not
expected. Whoever connects uses an address that was checked, since a second look-up may lead elsewhere."""

import ipaddress
import socket

from core.http.errors import ServiceUnavailable

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(ServiceUnavailable):
    """The host is at an address that is not public."""


def public_addresses(host: str, port: int) -> list[str]:
    """The public addresses of a host, IPv4 first. Raises `AddressRefused` if it has any other, and
    `ServiceUnavailable` if it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServiceUnavailable(f"{host}: its name cannot be resolved ({error})") from None
    addresses = list(dict.fromkeys(str(place[4][0]).partition("%")[0] for place in found))
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(f"{host} is at {address}, which is not a public address")
    return sorted(addresses, key=lambda address: ":" in address)


def is_public(address: str) -> bool:
    """Whether an address is of the public internet, also one of IPv6 that leads to an address of IPv4."""
    found: _IP = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = inner or found
    return found.is_global and not found.is_multicast
