"""A pod of the fake cluster: its container is a bubblewrap sandbox with the mounts, user and first process that the
manifest asks for, and commands enter its namespaces, as those of `exec` do on a node."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sandbox.bubblewrap import programs
from sandbox.root_filesystem import etc_folder, system_mounts

INTERPRETER = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
"""Of Python; in the image of every pod."""
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "KUBERNETES_SERVICE_HOST": "127.0.0.1"}
_START_SECONDS = 60.0
_RESTART_SECONDS = 0.5
"""A node needs time too, in which no command can be run."""


class FakePod:
    """`folder` holds its volumes that are on disk; `claims` maps the names of claims to host folders."""

    host_network = False
    """Whether its network is the host's, as if no policy were enforced."""
    small_temporary = True
    """Whether memory volumes have the size that the manifest asks for."""

    def __init__(
        self,
        manifest: dict[str, Any],
        folder: Path,
        claims: dict[str, Path],
        port: int,
        shell: Path | None = None,
        programs: Path | None = None,
    ) -> None:
        """`shell` takes the place of /bin/sh in the image, and the folder `programs` that of all others on PATH."""
        self._shell = shell
        self._programs = programs
        self.manifest = manifest
        self.name: str = manifest["metadata"]["name"]
        self.restarts = 0
        self.phase = "Pending"
        self.reason = self.message = ""
        self.container_state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
        self.last_state: dict[str, Any] = {}
        self.conditions: list[dict[str, Any]] = []
        self.deleted = False
        self.init = 0
        self._folder = folder
        self._claims = claims
        self._port = port
        self._oom = False
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def status(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "reason": self.reason,
            "message": self.message,
            "conditions": self.conditions,
            "containerStatuses": [
                {
                    "name": "sandbox",
                    "restartCount": self.restarts,
                    "state": self.container_state,
                    "lastState": self.last_state,
                }
            ],
        }

    def start(self) -> None:
        """Starts the container, and waits until it runs."""
        threading.Thread(target=self._live, daemon=True).start()
        assert self._running.wait(_START_SECONDS), "bwrap does not start"

    def _live(self) -> None:
        """What the kubelet does; in one thread, since the kernel ends bwrap with the thread that started it."""
        while True:
            self._run_container()
            self._running.set()
            assert self._process is not None
            code = self._process.wait()
            with self._lock:
                if self.deleted or self.phase == "Failed":
                    return
                reason = "OOMKilled" if self._oom else "Error"
                self._oom = False
                self.last_state = {"terminated": {"reason": reason, "exitCode": 128 - code if code < 0 else code}}
                self.container_state = self.last_state
                if self.manifest["spec"]["restartPolicy"] == "Never":
                    self.phase = "Failed"
                    return
                self.restarts += 1
            time.sleep(_RESTART_SECONDS)

    def _run_container(self) -> None:
        container = self.manifest["spec"]["containers"][0]
        read, write = os.pipe()
        try:
            line = [*self._bwrap(container, write), "--", *container["command"]]
            self._process = subprocess.Popen(line, pass_fds=[write], stdin=subprocess.DEVNULL, env={})
        finally:
            os.close(write)
        with os.fdopen(read) as status:
            self.init = json.loads(status.readline())["child-pid"]
        while Path(f"/proc/{self.init}/comm").read_text() == "bwrap\n":
            time.sleep(0.005)  # until all is mounted, and the first process runs
        self.phase, self.container_state = "Running", {"running": {}}

    def _bwrap(self, container: dict[str, Any], status: int) -> list[str]:
        user = str(self.manifest["spec"]["securityContext"]["runAsUser"])
        volumes = {volume["name"]: volume for volume in self.manifest["spec"]["volumes"]}
        system = system_mounts()
        line = [str(next(iter(programs()))), "--json-status-fd", str(status), "--unshare-all", "--as-pid-1"]
        line += ["--die-with-parent", "--unshare-user", "--uid", user, "--gid", user, "--hostname", "sandbox"]
        line += ["--clearenv", *(part for pair in ENVIRONMENT.items() for part in ("--setenv", *pair))]
        line += ["--setenv", "KUBERNETES_SERVICE_PORT", str(self._port), "--proc", "/proc", "--dev", "/dev"]
        for path in system.binds:
            line += ["--ro-bind", path, path]
        for name, goal in system.links:
            line += ["--symlink", goal, name]
        if not INTERPRETER.is_relative_to("/usr"):
            prefix = str(INTERPRETER.parents[1])
            line += ["--ro-bind", prefix, prefix]
        line += ["--ro-bind", str(etc_folder()), "/etc"]
        if self._shell is not None:
            line += ["--ro-bind", str(self._shell), str(Path("/bin/sh").resolve())]
        cgroup = self._folder / self.name / "cgroup"
        cgroup.mkdir(parents=True, exist_ok=True)
        self.memory_events = cgroup / "memory.events"
        self.memory_events.write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n")
        line += ["--ro-bind", str(cgroup), "/sys/fs/cgroup"]
        if self.host_network:
            line += ["--share-net"]
        if self._programs is not None:
            line += ["--ro-bind", str(self._programs), "/programs", "--setenv", "PATH", "/programs"]
        for place in container["volumeMounts"]:
            volume = volumes[place["name"]]
            if "persistentVolumeClaim" in volume:
                claim = self._claims[volume["persistentVolumeClaim"]["claimName"]]
                line += ["--ro-bind", str(claim / place["subPath"]), place["mountPath"]]
            elif volume["emptyDir"].get("medium") == "Memory":
                size = volume["emptyDir"]["sizeLimit"] if self.small_temporary else str(1 << 30)
                line += ["--perms", "0777", "--size", size, "--tmpfs", place["mountPath"]]
            else:
                disk = self._folder / self.name / place["name"]
                disk.mkdir(parents=True, exist_ok=True)
                disk.chmod(0o777)
                line += ["--bind", str(disk), place["mountPath"]]
        return [*line, "--remount-ro", "/", "--chdir", container["workingDir"]]

    def command(self, argv: list[str]) -> list[str]:
        """The host's command line that runs `argv` in the container."""
        enter = shutil.which("nsenter") or "nsenter"
        if self._programs is not None:
            argv = ["/usr/bin/env", "PATH=/programs", *argv]
        return [enter, "--target", str(self.init), "--user", "--mount", "--pid", "--net", "--ipc", "--uts",
                "--preserve-credentials", "--", *argv]  # fmt: skip

    def kill_container(self, oom: bool) -> None:
        """As the kernel kills a whole cgroup."""
        with self._lock:
            self._oom = oom
        self._end()

    def fail(self, reason: str, message: str) -> None:
        """As the kubelet does when it evicts a pod, or its deadline has passed."""
        with self._lock:
            self.phase, self.reason, self.message = "Failed", reason, message
            self.container_state = {"terminated": {"reason": "Error", "exitCode": 137}}
        self._end()

    def delete(self) -> None:
        with self._lock:
            self.deleted = True
        self._end()
        if self._process is not None:
            self._process.wait(30)
        shutil.rmtree(self._folder / self.name, ignore_errors=True)

    def _end(self) -> None:
        if self.init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, 9)
