"""Numbers for the weekly report."""

from collections import Counter, defaultdict


def top_pages(entries, count=10):
    """(path, views) of the pages that were seen most; equal ones by name. Bots, assets and errors do not count."""
    views = Counter(
        entry.path
        for entry in entries
        if entry.status == 200 and not entry.is_bot and not entry.is_asset
    )
    return sorted(views.items(), key=lambda item: (-item[1], item[0]))[:count]


def by_status(entries):
    """Counts by class, like {"2xx": 7, "4xx": 1}."""
    return dict(Counter("%dxx" % (entry.status // 100) for entry in entries))


def traffic(entries):
    """Bytes by day (ISO date), in the time zone of the log."""
    days = defaultdict(int)
    for entry in entries:
        days[entry.time.date().isoformat()] += entry.size
    return dict(days)


def referers(entries, own):
    """Hosts that visitors came from, with their counts. Pages of the `own` host and empty ones are left out."""
    counts = Counter()
    for entry in entries:
        host = entry.referer.partition("://")[2].partition("/")[0].lower()
        if host.startswith("www."):
            host = host[4:]
        if host and host != own:
            counts[host] += 1
    return counts.most_common()


def broken_links(entries):
    """(path, where it was linked from) of every 404 that came from a page, each once, sorted."""
    return sorted({(entry.path, entry.referer) for entry in entries if entry.status == 404 and entry.referer not in ("", "-")})


def error_rate(entries):
    """Server errors per hundred requests, rounded to one place."""
    if not entries:
        return 0.0
    return round(100 * sum(entry.failed for entry in entries) / len(entries), 1)


def searches(entries, name="q"):
    """What people searched for, most frequent first; case and extra spaces do not matter."""
    words = Counter()
    for entry in entries:
        text = entry.query.get(name, "").replace("+", " ").lower()
        text = " ".join(text.split())
        if text:
            words[text] += 1
    return words.most_common()
