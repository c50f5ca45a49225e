"""Where a forge's API is, which on some public services is another host than that of its pages."""

from urllib.parse import urlsplit


def api_address(service: str, address: str) -> str:
    """The address of the API of the service at `address`."""
    if service == "github":
        from core.forge.github import api_address

        return api_address(address)
    if service == "bitbucket" and urlsplit(address).hostname == "bitbucket.org":
        return "https://api.bitbucket.org"
    return address
