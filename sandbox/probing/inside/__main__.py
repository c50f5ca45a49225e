"""Runs the attempts of the families named on the command line, and prints one line of JSON for each."""

import json
import sys

from . import fetch, files, kernel, network, privileges, proc, services, sockets, terminal
from .attempt import ATTEMPTS, perform

FAMILIES = (network, sockets, files, proc, privileges, kernel, terminal, services, fetch)

if __name__ == "__main__":
    plan = json.loads(sys.stdin.read())
    for one in ATTEMPTS:
        if one.family in sys.argv[1:] and one.name in plan["names"]:
            sys.stdout.write(json.dumps(perform(one, plan)) + "\n")
            sys.stdout.flush()
