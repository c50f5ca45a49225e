"""Who a call is from: a key, else an address. Networks of version 6 give each client a whole /64."""

from ipaddress import IPv6Address, ip_address

_HEADER = "x-forwarded-for"


def client_key(headers, peer, trusted=()):
    """What calls of one client have in common: `key:…` or `net:…`.

    The header with the address is only believed when it comes from a trusted proxy; then its last address that is not
    a trusted proxy itself counts.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    if key := headers.get("x-api-key", "").strip():
        return f"key:{key}"
    address = _plain(peer)
    proxies = {_plain(one) for one in trusted}
    if address in proxies:
        for text in reversed(headers.get(_HEADER, "").split(",")):
            try:
                address = _plain(text)
            except ValueError:
                break
            if address not in proxies:
                break
    return f"net:{_network(address)}"


def _plain(text):
    """An address; one of version 4 that is written as one of version 6 is the former."""
    address = ip_address(text.strip())
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _network(address):
    if isinstance(address, IPv6Address):
        return ":".join(address.exploded.split(":")[:4])
    return str(address)
