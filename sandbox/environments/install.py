"""Unpacks wheels into an environment's folder with uv; runs nothing of what it unpacks.

The interpreter that uv asks for its tags is the base one, never that of the environment, whose `.pth` files would run.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sandbox.cached_folders import make_folder, write_file

from .confined import confined
from .interpreters import Interpreter
from .resolve import Pin
from .uv import Uv

INSIDE = "/opt/penstock/environment"
"""The path of an environment inside the sandbox."""
_SECONDS = 300.0
_COMPILE_SECONDS = 120.0


class Tree:
    """The folder of an environment that is being made: a virtual environment for use at `INSIDE`."""

    def __init__(self, folder: Path, interpreter: Interpreter, inside: str = INSIDE) -> None:
        self.folder, self.interpreter, self.inside = folder, interpreter, inside
        self.packages = folder / "lib" / f"python{interpreter.minor}" / "site-packages"
        make_folder(self.packages)
        make_folder(folder / "bin")
        for name in ("python", "python3", f"python{interpreter.minor}"):
            (folder / "bin" / name).symlink_to(interpreter.path)
        write_file(
            folder / "pyvenv.cfg",
            f"home = {interpreter.path.parent}\ninclude-system-site-packages = false\n"
            f"version = {interpreter.release}\n",
        )

    def install(self, uv: Uv, pins: Sequence[Pin], wheels: Sequence[Path] = ()) -> None:
        """Downloads and unpacks exactly these versions; `wheels` are local folders. Raises `FetchFailed`."""
        if not pins:
            return
        links = [word for folder in wheels for word in ("--find-links", str(folder))]
        with tempfile.TemporaryDirectory(prefix="penstock-install-") as scratch:
            (Path(scratch) / "pins.txt").write_text("".join(f"{pin.line}\n" for pin in pins))
            self._unpack(uv, ["--require-hashes", *links, "-r", "pins.txt"], Path(scratch), wheels)

    def add_wheel(self, uv: Uv, wheel: Path) -> None:
        """Unpacks one local wheel; it replaces another version of the same distribution. Raises `FetchFailed`."""
        with tempfile.TemporaryDirectory(prefix="penstock-install-") as scratch:
            self._unpack(uv, ["--no-index", "--reinstall", str(wheel)], Path(scratch), [wheel])

    def _unpack(self, uv: Uv, what: list[str], cwd: Path, readable: Sequence[Path]) -> None:
        arguments = ["pip", "install", "--quiet", "--no-deps", "--no-build", "--target", str(self.packages),
                     "--python", str(self.interpreter.path), *what]  # fmt: skip
        uv.run(arguments, _SECONDS, cwd, self.interpreter, readable=readable, writable=[self.packages])
        self._move_programs()

    def _move_programs(self) -> None:
        """Programs go to `bin`, and start the environment's interpreter."""
        made = self.packages / "bin"
        if not made.is_dir() or made.is_symlink():
            return
        for file in made.iterdir():
            if file.is_symlink() or not file.is_file():
                continue
            target = self.folder / "bin" / file.name
            if target.is_symlink():  # the interpreter's own names
                continue
            content = file.read_bytes()
            if content.startswith(b"#!"):
                first, _, rest = content.partition(b"\n")
                if b"python" in first:
                    content = f"#!{self.inside}/bin/python\n".encode() + rest
            target.write_bytes(content)
            target.chmod(0o755)
        shutil.rmtree(made)

    def compile(self) -> None:
        """Compiles the modules, because the environment is read-only where it is used. Only parses them."""
        arguments = ["-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
                     "-s", str(self.folder), "-p", self.inside, str(self.packages)]  # fmt: skip
        command = [str(self.interpreter.path), *arguments]
        line = confined(command, {}, [self.interpreter.prefix], [self.folder], self.folder, {})
        try:
            subprocess.run(line or ["false"], capture_output=True, timeout=_COMPILE_SECONDS, check=False,
                           env={"PATH": os.defpath}, cwd="/", stdin=subprocess.DEVNULL)  # fmt: skip
        except subprocess.TimeoutExpired:
            return  # then modules are compiled at each import
