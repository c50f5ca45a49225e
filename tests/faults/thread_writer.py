"""A client in a process of its own: writes at a rate, and notes what it was told is kept. For tests that kill it.

`python -m tests.faults.thread_writer FILE URL TOKEN NAME RATE THREAD…`: appends a line to FILE.said for each message
that was acknowledged, until it is ended.
"""

import os
import random
import sys
import time
from pathlib import Path

from threads.client.client import ThreadClient
from threads.client.transport import HttpTransport, Tokens


def main() -> None:
    file, url, token, name, rate, *threads = sys.argv[1:]
    chance = random.Random()  # noqa: S311
    said = os.open(f"{file}.said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    client = ThreadClient(Path(file), HttpTransport(url, Tokens(token)))
    for thread in threads:
        client.open(thread)
    client.start()
    number = 0
    while True:
        thread = chance.choice(threads)
        number += 1
        message = client.say(thread, f"{name} {number}")
        os.write(said, f"{thread} {message}\n".encode())
        if number % 5 == 0:
            client.edit(thread, message, f"{name} {number}, corrected")
        time.sleep(chance.expovariate(float(rate)))


if __name__ == "__main__":
    main()
