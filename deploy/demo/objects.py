"""The demo of durable objects: a service is submitted, called, hibernates, wakes, is updated by a canary, gets a
version that fails and is withdrawn by itself, and one that is never let out. The last line is `demo-objects: served` if
all went so.

Everything is written to `build/demo-objects`, and everything that was started is stopped.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from deploy.demo.__main__ import PENSTOCK, ROOT, DemoFailed, heading, penstock, say, wait_for_platform

FOLDER = ROOT / "build" / "demo-objects"
CODE = Path(__file__).with_name("stamp_card")
TYPE = "stamp-card"


class Demo:
    def __init__(self, environment: dict[str, str], gateway: str, token: str) -> None:
        self._environment = environment
        self._client = httpx.Client(
            base_url=gateway, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )
        self._quiet = False

    def run(self, *arguments: str, check: bool = True) -> str:
        return penstock("object", *arguments, environment=self._environment, check=check)

    def call(self, key: str, method: str, argument: Any = None, identity: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": identity} if identity else {}
        began = time.monotonic()
        answer = self._client.post(f"/objects/{TYPE}/{key}/{method}", json=argument or {}, headers=headers)
        took = (time.monotonic() - began) * 1000
        if not self._quiet:
            name = f" (id {identity})" if identity else ""
            say(f"POST /objects/{TYPE}/{key}/{method}{name} -> {answer.status_code} {answer.text}  [{took:.0f} ms]")
        return answer

    def many(self, times: int) -> dict[int, int]:
        """So many calls over twelve cards, without a line for each; how many were answered with which status."""
        self._quiet, found = True, {}
        for number in range(times):
            status = self.call(f"card-{number % 12}", "stamp", {"shop": "north"}).status_code
            found[status] = found.get(status, 0) + 1
        self._quiet = False
        return found

    def type(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"/object-types/{TYPE}").raise_for_status().json()
        return found

    def status(self, key: str) -> str:
        return str(self._client.get(f"/objects/{TYPE}/{key}").raise_for_status().json()["status"])

    def submit(self, name: str, percent: int = 50) -> str:
        return self.run(
            "submit", TYPE, str(CODE / f"{name}.py"), "--manifest", str(CODE / "manifest.json"), "--scenarios",
            str(CODE / "scenarios.json"), "--percent", str(percent), check=False,
        )  # fmt: skip


def until(holds: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.2)


def require(holds: bool, what: str) -> None:
    if not holds:
        raise DemoFailed(what)


def tell(demo: Demo) -> None:
    heading("a service is made: its code is tried in the sandbox, then let out")
    say((CODE / "one.py").read_text(encoding="utf-8").rstrip())
    say(demo.submit("one").rstrip())
    require(demo.type()["active_version"] == 1, "the first version does not serve")

    heading("it is called; the same id again has no second effect")
    for shop in ("north", "south"):
        demo.call("ada", "stamp", {"shop": shop})
    first = demo.call("ada", "stamp", {"shop": "north"}, "purchase-17")
    again = demo.call("ada", "stamp", {"shop": "north"}, "purchase-17")
    require(first.text == again.text and again.headers.get("Penstock-Repeated") == "true", "a repeat counted twice")

    heading("after two seconds without a call it hibernates: a row in the database, nothing in memory; a call wakes it")
    until(lambda: demo.status("ada") == "Hibernating", "hibernation")
    say(demo.run("list", TYPE).rstrip())
    require(demo.call("ada", "card").json()["stamps"] == 3, "the state did not survive")

    heading("a new version serves half of the cards first, and then all, since it does no worse")
    say(demo.submit("two").rstrip())
    require(demo.type()["canary_version"] == 2, "there is no canary")
    say(f"72 calls of 12 cards: {demo.many(72)}")
    until(lambda: demo.type()["active_version"] == 2, "promotion")
    say(f"version 2: {demo.type()['reason']}")
    demo.call("ada", "card")

    heading(
        "a version with a fault that its tests did not find is let out to half of the cards, and withdrawn by itself"
    )
    say(demo.submit("three").rstrip())
    require(demo.type()["canary_version"] == 3, "there is no canary")
    say(f"60 calls of 12 cards: {demo.many(60)}")
    until(lambda: demo.type()["canary_version"] is None, "going back")
    say(f"{demo.type()['reason']}")
    require(demo.type()["active_version"] == 2, "version 2 does not serve")
    time.sleep(1.2)  # what nodes know of a type is a second old at most
    after = demo.many(24)
    say(f"24 more calls: {after}")
    require(set(after) == {200}, "calls fail after going back")

    heading("a version that keeps something outside its state is not let out at all")
    say(demo.submit("forgetful").rstrip())
    require(demo.type()["active_version"] == 2 and demo.type()["canary_version"] is None, "it was let out")

    heading("going back to a state of before, and the end")
    say(demo.run("history", f"{TYPE}/ada").rstrip())
    say(demo.run("rollback", f"{TYPE}/ada", "1").rstrip())
    require(demo.call("ada", "card").json()["stamps"] == 1, "the state is not that of before")
    say(demo.run("terminate", f"{TYPE}/ada").rstrip())
    require(demo.call("ada", "stamp").status_code == 410, "what was terminated lives")
    say(demo.run("types", TYPE).rstrip())


def run() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    home = FOLDER / "home"
    home.mkdir(parents=True, mode=0o700)
    FOLDER.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")},
        "PENSTOCK_HOME": str(home),
        "PENSTOCK_GATEWAY_PORT": "0",
        "PENSTOCK_DAGSTER_PORT": "0",
        "PENSTOCK_OBJECT_HIBERNATE_SECONDS": "2",
    }
    heading("the platform starts; no node of objects yet, and nothing that they cost")
    log = (FOLDER / "up.log").open("wb")
    process = subprocess.Popen([PENSTOCK, "up"], env=environment, stdout=log, stderr=log, cwd=ROOT)
    try:
        state = wait_for_platform(process, home)
        say(penstock("status", environment=environment).rstrip())
        token = (home / "secrets" / "api-token").read_text(encoding="utf-8").strip()
        tell(Demo(environment, state["gateway"], token))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> int:
    try:
        run()
    except (DemoFailed, httpx.HTTPError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        say(f"demo-objects: failed: {error}")
        return 1
    say("\ndemo-objects: served")
    return 0


if __name__ == "__main__":
    sys.exit(main())
