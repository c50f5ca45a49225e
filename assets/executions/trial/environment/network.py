"""Failures of connections: there is no network in the sandbox, and no service runs there that is not declared."""

import errno
import ipaddress
import re

from assets.executions.trial.environment.case import Case, Found, Rule, misspelt
from assets.executions.trial.raised import Raised

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
_LOOKUP = re.compile(
    r"Name or service not known|Temporary failure in name resolution|No address associated|nodename nor servname|"
    r"getaddrinfo failed|could not translate host name",
    re.IGNORECASE,
)
_SAID = re.compile(r"[Cc]onnection refused|ECONNREFUSED|Network is unreachable|could not connect to server")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63})*\.?")
_HOSTS = re.compile(r"(?:[A-Za-z0-9-]+\.)+[a-z]{2,}")
_NOWHERE = re.compile(r"(^|\.)(invalid|test|example|localhost)\.?$")
"""Names that never lead anywhere (RFC 2606): a test that asks for one expects to fail."""
_DOCUMENTATION = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32",
                                                  "240.0.0.0/4")))  # fmt: skip
_SERVICES = {
    "5432": "PostgreSQL", "6379": "Redis", "3306": "MySQL", "27017": "MongoDB", "9092": "Kafka", "5672": "RabbitMQ",
    "9200": "Elasticsearch", "11211": "memcached", "1433": "SQL Server", "2181": "ZooKeeper", "9000": "MinIO",
    "8086": "InfluxDB", "1883": "MQTT", "389": "LDAP", "25": "SMTP", "21": "FTP", "22": "SSH", "4222": "NATS",
}  # fmt: skip
_DECLARED = {"5432": "postgresql", "6379": "redis"}
"""Services that a repository can declare, by their usual ports."""
_NO_NETWORK = "Name tests that need none with `--test` (`python -m pytest -k …`), or `test` in penstock.toml."


def network(case: Case, link: Raised) -> Found | None:
    """A host outside the sandbox."""
    if case.decided(link) or not _concerns_network(link):
        return None
    hosts = _hosts(case, link)
    if _offers_service(case) or any(_is_wrong(case, host) for host in hosts):
        return None
    outside = [host for host in hosts if not is_loopback(host)]
    refused = link.errno == errno.ECONNREFUSED or _SAID.search(link.message)
    if refused and not outside and not _looked_up(link):
        return None
    if not outside and not _looked_up(link) and link.errno not in _UNREACHABLE:
        return None
    if outside and "." not in outside[0] and ":" not in outside[0]:
        name = outside[0]
        return Found("service", f"the service `{name}`, which does not run here", _NO_NETWORK)
    where = f" (it connects to {outside[0]})" if outside else ""
    return Found("network", f"a network, which the sandbox does not have{where}", _NO_NETWORK)


def service(case: Case, link: Raised) -> Found | None:
    """A service on this machine that nothing in the tests starts."""
    if case.decided(link) or _offers_service(case):
        return None
    path = next((a for a in (link.file, *case.failure.around.asked) if a.endswith((".sock", ".s.PGSQL.5432"))), "")
    if path.startswith(("/var/run/", "/run/", "/tmp/.s.")) and link.is_a("OSError"):  # noqa: S108
        return Found("service", f"the service behind {path}, which does not run here", _remedy(path[-4:]))
    if link.errno != errno.ECONNREFUSED and not _SAID.search(link.message):
        return None
    if link.errno != errno.ECONNREFUSED and not (link.outside and _is_foreign(case, link)):
        return None
    asked = [a for a in (*case.failure.around.asked, _spaced(link.asked)) if _port(a)]
    local = [a for a in asked if is_loopback(a.rpartition(":")[0])]
    ports = [_port(local[-1])] if local else re.findall(r"(?:port\s+|:)(\d{2,5})\b", link.message)[:1]
    if not ports:
        return None
    if _runs_processes(case):
        return None
    name = _SERVICES.get(ports[0])
    what = f"{name} on port {ports[0]}" if name else f"a service on port {ports[0]} of this machine"
    return Found("service", f"{what}, which does not run in the sandbox", _remedy(ports[0]))


def _remedy(port: str) -> str:
    if port not in _DECLARED:
        return _NO_NETWORK
    return f'Declare it by `services = ["{_DECLARED[port]}"]` under `[environment]` in penstock.toml.'


def swallowed(case: Case, link: Raised) -> Found | None:
    """A check that fails after the program asked for a host that the sandbox refused, and hid that."""
    if not link.is_a("AssertionError") or _offers_service(case):
        return None
    outside = [host for host in map(_host, case.failure.around.asked) if host and not is_loopback(host)]
    if not outside or any(_is_wrong(case, host) for host in outside):
        return None
    return Found("network", f"a network, which the sandbox does not have (it connects to {outside[0]})", _NO_NETWORK)


def is_loopback(host: str) -> bool:
    if host in ("", "localhost", "ip6-localhost", "0.0.0.0", "::", "sandbox"):  # noqa: S104
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.startswith("/")


def _concerns_network(link: Raised) -> bool:
    if link.type.endswith(("socket.gaierror", "socket.herror")) or link.errno in _UNREACHABLE:
        return True
    if link.errno == errno.ECONNREFUSED or _looked_up(link) or _SAID.search(link.message):
        return True
    return link.is_a("TimeoutError") and bool(link.asked)


def _looked_up(link: Raised) -> bool:
    known = link.is_a("OSError") or "." in link.type
    return known and _LOOKUP.search(link.message) is not None


def _hosts(case: Case, link: Raised) -> list[str]:
    asked = [_host(a) for a in (_spaced(link.asked), *reversed(case.failure.around.asked))]
    return list(dict.fromkeys(host for host in asked if host))


def _spaced(asked: str) -> str:
    """An address pair as text: the worker joins a pair with a space."""
    parts = asked.split(" ")
    return f"{parts[0]}:{parts[1]}" if len(parts) >= 2 and parts[1].isdigit() else asked


def _host(address: str) -> str:
    head, _, port = address.rpartition(":")
    return head if head and port.isdigit() else address


def _port(address: str) -> str:
    head, _, port = address.rpartition(":")
    return port if head and port.isdigit() and port != "0" else ""


def _is_wrong(case: Case, host: str) -> bool:
    """Whether no network would help: not a host's name, a slip for another name, or one that leads nowhere."""
    if is_loopback(host):
        return False
    if host in ("None", "True", "False", "null", "undefined"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        slip = misspelt(host, ("localhost", "127.0.0.1", *_HOSTS.findall(case.source)[:200]))
        digits = re.fullmatch(r"[\d.]+", host) is not None
        return not _HOST.fullmatch(host) or digits or slip is not None or _NOWHERE.search(host) is not None
    return any(address in net for net in _DOCUMENTATION if net.version == address.version)


def _offers_service(case: Case) -> bool:
    return case.failure.around.bound


def _runs_processes(case: Case) -> bool:
    return bool(case.failure.around.programs)


def _is_foreign(case: Case, link: Raised) -> bool:
    """Whether the exception's type is one of a package that is not the repository's."""
    top = link.type.split(".")[0]
    return "." in link.type and not any(
        f.startswith((f"{top}/", f"{top}.py", f"src/{top}/")) for f in case.declared.files
    )


RULES: tuple[Rule, ...] = (service, network, swallowed)
