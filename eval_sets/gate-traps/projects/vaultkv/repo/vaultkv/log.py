"""A log of changes as text, from which a store can be filled again."""

import json


class LogError(ValueError):
    """A line of a log that cannot be read."""


def line(action, key, value=None):
    """One change: `set` or `del`."""
    fields = {"do": action, "key": key}
    if action == "set":
        fields["value"] = value
    return json.dumps(fields, sort_keys=True)


def replay(text, store):
    """Makes the changes of a log. A last line that was cut off is left out. Returns how many were made."""
    lines = text.split("\n")
    rest, made = lines.pop(), 0
    for number, one in enumerate(lines, 1):
        try:
            fields = json.loads(one)
            action, key = fields["do"], fields["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise LogError(f"line {number}") from error
        if action == "set":
            store.set(key, fields.get("value"))
        else:
            store.delete(key)
        made += 1
    return made


def compacted(text):
    """The shortest log with the same result: one line for each key that is left, in the order of the first set."""
    values = {}
    for one in text.splitlines():
        fields = json.loads(one)
        if fields["do"] == "set":
            values[fields["key"]] = fields.get("value")
        else:
            values.pop(fields["key"], None)
    return "".join(line("set", key, value) + "\n" for key, value in values.items())
