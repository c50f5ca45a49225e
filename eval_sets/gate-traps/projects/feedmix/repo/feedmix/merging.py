"""Several feeds as one."""

from feedmix.items import Item


def merged(feeds):
    """The entries of all feeds, the newest first; of entries with the same address the newest alone."""
    newest = {}
    for feed in feeds:
        for item in feed:
            if item.url not in newest or newest[item.url].time < item.time:
                newest[item.url] = item
    return sorted(newest.values(), key=lambda item: (-item.time, item.url))


def latest(items, count):
    """The `count` newest entries, the newest first."""
    return sorted(items, key=lambda item: item.time, reverse=True)[:count]


def tagged(items, wanted):
    """Entries with at least one of the tags, in any case; all of them without tags."""
    if not wanted:
        return list(items)
    names = {tag.lower() for tag in wanted}
    return [item for item in items if names.intersection(item.tags)]


def since(items, time):
    """Entries from a time on."""
    return [item for item in items if item.time >= time]


def retitled(items, prefix):
    """Entries with a prefix before their titles, for a feed's own name."""
    return [Item(item.url, f"{prefix}: {item.title}", item.time, item.tags) for item in items]
