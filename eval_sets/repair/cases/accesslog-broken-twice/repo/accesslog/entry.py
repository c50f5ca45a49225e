"""One line of a log in the combined format."""

import json
import re
from datetime import datetime


class BadLine(ValueError):
    """A line that is not in the combined format."""


_LINE = re.compile(
    r'^(?P<host>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] '
    r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<size>\d+|-)'
    r'(?: "(?P<referer>[^"]*)" "(?P<agent>[^"]*)")?$'
)
_REQUEST = re.compile(r"^(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/[\d.]+)?$")
_BOT = re.compile(r"bot\b|crawler|spider", re.IGNORECASE)
_ASSET = re.compile(r"\.(css|js|png|jpe?g|svg|ico|woff2?)$", re.IGNORECASE)


class Entry(object):
    def __init__(self, host, user, time, method, target, status, size, referer, agent):
        self.host = host
        self.user = user
        self.time = time
        self.method = method
        self.target = target
        self.status = status
        self.size = size
        self.referer = referer
        self.agent = agent

    @property
    def path(self):
        """The target without its query, and without a slash at the end (but `/` stays)."""
        path = self.target.partition("?")[0]
        return path.rstrip("/") or "/"

    @property
    def query(self):
        """The query as a dict; a name without a value has the value ''."""
        text = self.target.partition("?")[2]
        pairs = [pair.partition("=") for pair in text.split("&") if pair]
        return {name: value for name, _, value in pairs}

    @property
    def failed(self):
        return self.status >= 500

    @property
    def is_bot(self):
        return bool(_BOT.search(self.agent))

    @property
    def is_asset(self):
        return bool(_ASSET.search(self.path))


def parse_json(line):
    """The entry of a line in the JSON format of newer servers. Raises BadLine."""
    try:
        fields = json.loads(line)
        return Entry(
            fields["remote"],
            fields.get("user"),
            datetime.fromisoformat(fields["ts"]),
            fields["method"],
            fields["uri"],
            int(fields["status"]),
            int(fields.get("bytes", 0)),
            fields.get("headers", {}).get("referer", ""),
            fields.get("headers", {}).get("user-agent", ""),
        )
    except (KeyError, TypeError, ValueError):
        raise BadLine(line.strip()[:80])


def parse(line):
    """The entry of a line. Raises BadLine."""
    if line.lstrip().startswith("{"):
        return parse_json(line)
    match = _LINE.match(line.rstrip("\r\n"))
    if match is None:
        raise BadLine(line.strip()[:80])
    request = _REQUEST.match(match.group("request"))
    if request is None:
        raise BadLine("request %r" % match.group("request"))
    size = match.group("size")
    return Entry(
        match.group("host"),
        None if match.group("user") == "-" else match.group("user"),
        datetime.strptime(match.group("time"), "%d/%b/%Y:%H:%M:%S %z"),
        request.group("method"),
        request.group("target"),
        int(match.group("status")),
        0 if size == "-" else int(size),
        match.group("referer") or "",
        match.group("agent") or "",
    )


def parse_all(lines):
    """(entries, number of bad lines)"""
    entries, bad = [], 0
    for line in lines:
        if not line.strip():
            continue
        try:
            entries.append(parse(line))
        except BadLine:
            bad += 1
    return entries, bad
