"""Addresses such as `db.local:5432`."""

PORTS = {"http": 80, "https": 443, "ssh": 22}


def split(text, scheme=None):
    """Host and port. A scheme (`https://host/path`) gives the port if the address names none; else it is None."""
    head, mark, rest = text.partition("://")
    if mark:
        scheme, text = head, rest
    text = text.split("/")[0]
    if text.startswith("["):
        host, _, after = text[1:].partition("]")
        port = after.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host:
        raise ValueError("an address needs a host")
    return host.lower(), int(port) if port else PORTS.get(scheme)


def same(a, b):
    """Whether two addresses name the same host and port."""
    return split(a) == split(b)


def private(address):
    """Whether an IPv4 address is from a private network (RFC 1918)."""
    parts = [int(part) for part in address.split(".")]
    if len(parts) != 4 or not all(0 <= part <= 255 for part in parts):
        raise ValueError(f"not an IPv4 address: {address}")
    return parts[0] == 10 or parts[0] == 172 and 16 <= parts[1] <= 31 or parts[:2] == [192, 168]
