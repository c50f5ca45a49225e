import asyncio

from fetchpool import Transient


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Server:
    """Answers with the key in capitals, after as many failures as it was told."""

    def __init__(self, failures=0, error=Transient):
        self.failures = failures
        self.error = error
        self.asked = []
        self.at_once = 0
        self.most_at_once = 0

    async def fetch(self, key):
        self.asked.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.failures > 0:
            self.failures -= 1
            raise self.error("busy")
        return key.upper()
