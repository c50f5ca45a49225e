"""What subjects that run code share: one sandbox, opened when a run of evals starts."""

from assets.evals.runs.subject import SubjectCannotStart
from core.settings import load_settings
from sandbox import open_sandbox
from sandbox.protocol import Sandbox, SandboxUnavailable


class Sandboxed:
    """Opens the sandbox of the settings once. Raises `SubjectCannotStart` when none works here."""

    _sandbox: Sandbox | None = None

    def start(self) -> None:
        self._open()

    def _open(self) -> Sandbox:
        if self._sandbox is None:
            try:
                self._sandbox = open_sandbox(load_settings().sandbox)
            except SandboxUnavailable as error:
                raise SubjectCannotStart(str(error)) from error
        return self._sandbox
