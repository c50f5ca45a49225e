"""Sources in other encodings, and packages behind symbolic links, are edited as what they are."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.executions.judging.gate import judge
from core.git.repository import Repository
from core.work import Execution, VerdictKind

from .conftest import GIT, Files

Repair = Callable[..., Execution]
BODY = "NAME = 'caf\u00e9'\n\n\ndef label(n):\n    '''Le pr\u00e9fixe \u00e9crit.'''\n    return 'caf\u00e9 ' + str(n + 1)  # \u00e0 v\u00e9rifier\n"  # noqa: E501
TEST = "from mod import label\n\n\ndef test_label():\n    assert label(3) == 'caf\\xe9 3'\n\n\ndef test_type():\n    assert isinstance(label(3), str)\n"  # noqa: E501
STARTED = (  # the function runs where only the file counts
    "import subprocess, sys\n\n\ndef test_label():\n    code = 'import mod; print(ascii(mod.label(3)))'\n"
    "    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
    "    assert done.stdout.strip() == ascii('caf\\xe9 3')\n"
)


@pytest.mark.parametrize("tests", [TEST, STARTED], ids=["in place", "in another process"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r", "utf-8-sig"])
def test_a_source_is_edited_and_published_in_its_encoding(
    repair: Repair, tmp_path: Path, encoding: str, tests: str
) -> None:
    letters = {"\u00e9": "\u0438", "\u00e0": "\u0430"} if encoding == "koi8-r" else {}
    body = BODY.translate(str.maketrans(letters))
    content = (f"# -*- coding: {encoding} -*-\n" if encoding != "utf-8-sig" else "") + body
    files: Files = {
        "mod.py": content.encode(encoding),
        "test_mod.py": tests.replace("\\xe9", letters.get("\u00e9", "\u00e9")),
    }
    done = repair(files, "label(3) says 4")
    assert done.patch is not None and judge(done.evidence, done.patch).verdict is VerdictKind.PASS, done.summary
    assert letters.get("\u00e9", "\u00e9") in done.patch.diff
    repository = Repository(tmp_path / "repository")
    made = repository.commit_patch(
        done.patch.base_commit,
        done.patch.diff,
        "fixed",
        "Fix",
        ("A", "a@example.org"),
        datetime(2024, 1, 1, tzinfo=UTC),
    )
    show = ["git", "show", f"{made}:mod.py"]
    new = subprocess.run(show, cwd=tmp_path / "repository", env=GIT, capture_output=True, check=True).stdout
    changed = [line for line in new.split(b"\n") if line not in content.encode(encoding).split(b"\n")]
    assert (
        len(changed) == 1 and body.split("'")[1].encode("utf-8" if encoding == "utf-8-sig" else encoding) in changed[0]
    )


def test_a_package_behind_a_symbolic_link_is_repaired_where_it_is(repair: Repair, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "code").mkdir()
    (repository / "src").symlink_to("code")
    files: Files = {
        "code/shop/__init__.py": "",
        "code/shop/cost.py": "LIMIT = 50\n\n\ndef cost(total):\n    return 0 if total > LIMIT else 5\n",
        "tests/test_cost.py": "from shop.cost import cost\n\n\ndef test_free():\n    assert cost(50) == 0\n\n\n"
        "def test_small():\n    assert cost(10) == 5\n",
    }
    done = repair(files, "cost(50) should be 0")
    assert done.patch is not None, done.summary
    assert done.evidence.changed_paths == ("code/shop/cost.py",)
    assert done.evidence.suspicious[0].symbol == "cost"
