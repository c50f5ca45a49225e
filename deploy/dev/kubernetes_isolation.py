"""A network plugin for the end of a chain: takes the network from pods of the namespaces named in `isolated`.

It stands for a plugin that enforces NetworkPolicy, for namespaces whose policy denies everything. It runs before a
pod's containers do. https://www.cni.dev/docs/spec/
"""

import json
import os
import subprocess
import sys


def main() -> int:
    given = json.load(sys.stdin)
    command = os.environ.get("CNI_COMMAND", "")
    if command == "VERSION":
        print(json.dumps({"cniVersion": "0.4.0", "supportedVersions": ["0.4.0"]}))  # noqa: T201
    if command == "ADD":
        pod = dict(part.partition("=")[::2] for part in os.environ.get("CNI_ARGS", "").split(";"))
        if pod.get("K8S_POD_NAMESPACE") in given["isolated"]:
            inside = [
                "nsenter",
                f"--net={os.environ['CNI_NETNS']}",
                "ip",
                "link",
                "set",
                os.environ["CNI_IFNAME"],
                "down",
            ]
            subprocess.run(inside, check=True, timeout=30, stdout=sys.stderr)
        print(json.dumps(given["prevResult"]))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
