"""The demo: starts the platform with the embedded database, delivers two signed webhooks, and shows the results.

One sample ends resolved, with a branch; the other ends unresolved, with a report and no branch. The first one's issue
is then opened at a forge, which gets a pull request. Everything is written to `build/demo`, and everything that was
started is stopped. The last line is `demo: resolved` if all three ended as expected.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from core.settings import Settings
from dagster_project.records import platform_file
from deploy.demo.at_forge import Forge, secret_of
from deploy.demo.build import Sample, build, issue_payload

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "demo"
PENSTOCK = str(Path(sys.executable).with_name("penstock"))
SAMPLES = ("parcel_quotes", "bank_feed")
START_SECONDS = 150.0
TASK_SECONDS = 240.0


class DemoFailed(RuntimeError):
    """The demo cannot continue; the message says where it stopped."""


def say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201


def heading(text: str) -> None:
    say(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def shown(arguments: list[str]) -> str:
    text = " ".join(f'"{a}"' if " " in a else a for a in arguments)
    return "$ " + text.replace(f"{ROOT}/", "")


def penstock(*arguments: str, environment: dict[str, str], check: bool = True) -> str:
    """Prints and runs one command, and returns its standard output."""
    say(shown(["penstock", *arguments]))
    done = subprocess.run(
        [PENSTOCK, *arguments], env=environment, stdout=subprocess.PIPE, text=True, timeout=TASK_SECONDS, check=False
    )
    if check and done.returncode:
        raise DemoFailed(f"penstock {arguments[0]} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def wait_for_platform(process: subprocess.Popen[bytes], home: Path) -> dict[str, str]:
    """Waits until the supervisor reports that everything answers."""
    deadline = time.monotonic() + START_SECONDS
    state = platform_file(Settings(home=home))
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed(f"penstock up ended with {process.returncode}; its logs are in {home / 'logs'}")
        if state.is_file():
            found: dict[str, str] = json.loads(state.read_text(encoding="utf-8"))
            return found
        time.sleep(0.1)
    raise DemoFailed(f"the platform did not start within {START_SECONDS:.0f} s; its logs are in {home / 'logs'}")


def deliver(sample: Sample, number: int, environment: dict[str, str]) -> str:
    """Delivers the sample's issue as GitHub would, and returns the id of the task it started."""
    payload = FOLDER / f"{sample.name}.issues.json"
    payload.write_text(json.dumps(issue_payload(sample, number), indent=2), encoding="utf-8")
    answer = penstock("send", str(payload), "--source", "github", "--kind", "issues", "--json", environment=environment)
    task = json.loads(answer).get("task")
    if not task:
        raise DemoFailed(f"the gateway started no task: {answer}")
    return str(task)


def follow(task: str, environment: dict[str, str]) -> dict[str, Any]:
    """Shows the task's stages live, and returns the closed task."""
    say(shown(["penstock", "task", "watch", task]))
    process = subprocess.run(
        [PENSTOCK, "task", "watch", task, "--timeout", str(int(TASK_SECONDS))], env=environment, check=False
    )
    if process.returncode not in (0, 1):
        raise DemoFailed(f"penstock task watch ended with {process.returncode}")
    deadline = time.monotonic() + 20
    while True:  # publishing is tried right after the task is closed
        text = subprocess.run(
            [PENSTOCK, "task", "show", task, "--json"], env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        found: dict[str, Any] = json.loads(text)
        publications = found["publications"]
        if isinstance(publications, list) and all(p["state"] != "pending" for p in publications):
            return found
        if time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def state_of(found: dict[str, Any]) -> str:
    task = found["task"]
    return str(task["state"]) if isinstance(task, dict) else "unknown"


def work_of(found: dict[str, Any]) -> dict[str, Any]:
    """The evidence of the task's execution."""
    bodies = [stage["body"] for stage in found["stages"] if stage["stage"] == "execution"]
    return dict(bodies[0]["evidence"]) if bodies else {"target_tests": [], "candidates": {"tried": 0}}


def resolved(sample: Sample, task: str, found: dict[str, Any]) -> bool:
    """Shows the published branch. Returns whether the task was resolved with a branch."""
    branch = f"penstock/{task}"
    log = git(sample.directory, "log", "-1", "--stat", "--format=%h %an%n%n%B", branch)
    if not log or state_of(found) != "resolved":
        say(f"task {task} ended {state_of(found)}, without branch {branch}")
        return False
    heading("the published commit")
    say(log.rstrip())
    say(git(sample.directory, "diff", f"{branch}^", branch).rstrip())
    say(f"\nlook:  git -C {sample.directory} show {branch}")
    return True


def unresolved(sample: Sample, task: str, found: dict[str, Any]) -> bool:
    """Shows the report. Returns whether the task ended unresolved, with a report and without a branch."""
    ref = f"refs/penstock/reports/{task}-1"
    report = git(sample.directory, "show", f"{ref}:report.md")
    branches = git(sample.directory, "branch", "--list", "penstock/*").split()
    tried = work_of(found)
    say(f"{len(tried['target_tests'])} failing tests reproduced, {tried['candidates']['tried']} candidates tried")
    honest = bool(tried["target_tests"]) and tried["candidates"]["tried"] > 0
    if state_of(found) != "unresolved" or not report or branches or not honest:
        say(f"task {task} ended {state_of(found)}; branches: {branches or 'none'}; report: {'yes' if report else 'no'}")
        return False
    heading("the published report (no branch, no patch)")
    say(report.split("\n## Where it looked", maxsplit=1)[0].rstrip())
    say(f"\nlook:  git -C {sample.directory} show {ref}:report.md")
    return True


def at_forge(
    forge: Forge, home: Path, gateway: str, process: "subprocess.Popen[bytes]", environment: dict[str, str]
) -> bool:
    """Opens the issue at the forge and shows the pull request. Returns whether there is one."""
    heading(
        f"the same issue at a forge: {forge.repository} (a fake GitHub on this machine, with a real git repository)"
    )
    say(penstock("index", "add", *forge.source, environment=environment).rstrip())
    number = forge.open_issue(gateway, secret_of(home))
    say(f"issue #{number} is open; the forge's own webhook starts the task")
    pull = forge.wait_for_pull(lambda: process.poll() is None)
    if pull is None:
        say(f"no pull request was opened; the forge sent: {forge.deliveries()}")
        return False
    heading("the issue and its pull request, as the forge has them")
    say(forge.pages(pull).rstrip())
    return True


def run() -> bool:
    began = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    home, repositories = FOLDER / "home", FOLDER / "repositories"
    repositories.mkdir(parents=True)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("PENSTOCK_", "DAGSTER_"))},
        "PENSTOCK_HOME": str(home),
        "PENSTOCK_ALLOWED_ROOTS": str(repositories),
        "PENSTOCK_GATEWAY_PORT": "0",
        "PENSTOCK_DAGSTER_PORT": "0",
        "PENSTOCK_TASK_SECONDS": "60",
    }
    heading("two sample repositories")
    samples = [build(name, repositories / name) for name in SAMPLES]
    for sample in samples:
        say(f"{sample.repository}: {sample.commits} commits; issue: {sample.issue_title}")

    forge = Forge(FOLDER / "forge", samples[0])
    environment |= forge.environment
    heading("the platform")
    say(shown(["penstock", "up"]))
    process = subprocess.Popen([PENSTOCK, "up"], env=environment, start_new_session=True)
    try:
        state = wait_for_platform(process, home)
        heading("their context indexes")
        for sample in samples:
            arguments = ("index", "add", sample.name, str(sample.directory), "--repository", sample.repository)
            say(penstock(*arguments, environment=environment).rstrip())
        good = True
        for number, sample in enumerate(samples, start=41):
            heading(f"webhook: issue {number} opened in {sample.repository}")
            say("\n".join(f"  | {text}" for text in [sample.issue_title, "", *sample.issue_body.splitlines()]))
            task = deliver(sample, number, environment)
            found = follow(task, environment)
            check = resolved if sample.expected == "resolved" else unresolved
            good = check(sample, task, found) and good
        good = at_forge(forge, home, state["gateway"], process, environment) and good
        heading("where to look")
        say(penstock("task", "list", environment=environment).rstrip())
        say(f"state, logs and repositories stay in {FOLDER}")
        say(f"while a platform runs, the Dagster UI shows all of this (it was at {state['dagster']}): make up")
        return good
    finally:
        heading("stopping what was started")
        forge.stop()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        say(f"{time.monotonic() - began:.0f} s")


def main() -> int:
    try:
        good = run()
    except (DemoFailed, subprocess.SubprocessError, OSError) as error:
        say(f"demo: {error}")
        return 1
    say("demo: resolved" if good else "demo: failed")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
