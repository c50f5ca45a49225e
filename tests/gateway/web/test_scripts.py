"""The pages' modules in Node, which Debian's package has: the browser's replica, and what keeps it in step."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).with_name("scripts")


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("*.test.mjs")))
def test_the_modules_do_what_their_tests_say(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        missing = "no Node.js: TOOLCHAINS=1 make services installs it, as root, or install the package nodejs"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    done = subprocess.run(
        [node, "--test", str(SCRIPTS / name)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
