stamps = {}


def handle(state, message):
    stamps[message["key"]] = stamps.get(message["key"], 0) + (message["method"] == "stamp")
    return state, {"stamps": stamps[message["key"]], "reward": False}
