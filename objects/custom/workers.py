"""One process in the sandbox that runs handlers, and the protocol with it: a line of JSON out, one line back.

Whatever it says is untrusted. A line that nobody asked for, one about another question, or none in time ends it.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from objects.model import MAX_ANSWER_BYTES, MAX_STATE_BYTES, Fault, Refused, Unavailable, load
from sandbox.protocol import Environment, Limits, Sandbox, SandboxProcess, SandboxUnavailable, Session
from sandbox.python import base_interpreter, base_mounts

STEP_SECONDS = 5.0
"""Longest step of a handler."""
LOAD_SECONDS = 10.0
LINE_BYTES = MAX_STATE_BYTES + MAX_ANSWER_BYTES + (1 << 20)
MOST_OUTPUT = 96 << 20
LIMITS = Limits(
    wall_seconds=1200,
    cpu_seconds=600,
    memory_bytes=256 << 20,
    processes=16,
    file_bytes=8 << 20,
    disk_bytes=32 << 20,
    output_bytes=128 << 20,
)
OLD_SECONDS = 600.0
OLD_STEPS = 20_000

_RUNNER = Path(__file__).parent / "inside" / "runner.py"


class Worker:
    """Started without code. `load` binds it to one version of one team's type for the rest of its life."""

    def __init__(self, sandbox: Sandbox, workspace: Path, program: str | None = None) -> None:
        """`workspace` is an empty folder. `program`: the source of a program that speaks the protocol itself. Raises
        `Unavailable`."""
        try:
            self._session: Session = sandbox.open(Environment(workspace, base_mounts()), LIMITS)
            try:
                if program is None:
                    self._session.write("runner.py", _RUNNER.read_bytes())
                    argv = [str(base_interpreter()), "-I", "-S", "-B", "runner.py"]
                else:
                    self._session.write("handler", program.encode())
                    argv = ["/bin/sh", "-c", "chmod +x handler && exec ./handler"]
                self._process: SandboxProcess = self._session.start(argv)
            except BaseException:
                self._session.close()
                raise
        except (SandboxUnavailable, OSError) as error:
            raise Unavailable(f"the sandbox does not start: {error}") from error
        self._numbers = 0
        self._started = time.monotonic()
        self._said = 0
        self.used = self._started
        self.broken = False
        self.source: str | None = program

    @property
    def old(self) -> bool:
        """Whether another should take its place, before one of its limits ends it in the middle of a step."""
        return (
            self.broken
            or time.monotonic() - self._started > OLD_SECONDS
            or self._numbers > OLD_STEPS
            or self._said > MOST_OUTPUT
        )

    def load(self, source: str) -> None:
        """Raises `Fault` if the code cannot be loaded, and `Unavailable`."""
        if self.source is None:
            self.source = source
            self.ask({"do": "load", "source": source}, LOAD_SECONDS)

    def ask(self, question: Mapping[str, Any], seconds: float = STEP_SECONDS) -> dict[str, Any]:
        """The answer to a question. Raises `Refused`, `Fault` and `Unavailable`; after a `Fault` that the process did
        not report itself, it has ended."""
        self._numbers += 1
        self.used = time.monotonic()
        try:
            self._require_silence()
            self._process.write_line(json.dumps({"id": self._numbers, **question}).encode())
            line = self._process.read_line(seconds)
        except TimeoutError:
            self.close()
            raise Fault(f"it gave no answer within {seconds:g} s") from None
        except BrokenPipeError:
            line = None
        if line is None:
            raise self._ended()
        self._said += len(line)
        try:
            answer = self._read(line)
        except Fault:
            self.close()
            raise
        if "refused" in answer:
            refused = answer["refused"]
            if not isinstance(refused, dict):
                self.close()
                raise Fault("it broke the protocol: `refused` is no object")
            raise Refused(_text(refused.get("code"), 60) or "refused", _text(refused.get("message"), 1000))
        if "error" in answer:
            raise Fault(_text(answer["error"], 1000) or "it failed without a reason")
        return answer

    def _require_silence(self) -> None:
        try:
            line = self._process.read_line(0)
        except TimeoutError:
            return
        if line is not None:
            self.close()
            raise Fault("it broke the protocol: it wrote a line that nobody asked for")

    def _read(self, line: bytes) -> dict[str, Any]:
        if len(line) > LINE_BYTES:
            raise Fault(f"it answered with {len(line):,} bytes")
        try:
            answer = load(line)
        except ValueError as error:
            raise Fault(f"it broke the protocol: {error}"[:300]) from None
        if not isinstance(answer, dict) or answer.get("id") != self._numbers or isinstance(answer.get("id"), bool):
            raise Fault("it broke the protocol: it answered another question than was asked")
        return answer

    def _ended(self) -> Exception:
        """Why it ended: by a limit or by itself, which is its fault, or because the sandbox failed."""
        self.broken = True
        try:
            result = self._process.finish(2.0)
        except SandboxUnavailable as error:
            self.close()
            return Unavailable(f"the sandbox failed: {error}")
        self.close()
        if result.limit is not None:
            return Fault(f"it exceeded a limit: {result.limit}")
        return Fault(f"it ended in the middle of a step, with exit code {result.exit_code}")

    def close(self) -> None:
        self.broken = True
        try:
            self._process.kill()
        finally:
            self._session.close()


def _text(value: object, most: int) -> str:
    return str(value)[:most] if value is not None else ""
