"""`penstock research` as a user runs it, without a database."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_folder_without_documents_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "picture.png").write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "research", "How high is the dam?", "--corpus", str(folder)],
        env={**os.environ, "PENSTOCK_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert f"{folder} has no documents: put files there whose names end in .md" in done.stderr.replace("\n", " ")
