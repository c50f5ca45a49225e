"""Builds the demo's sample repositories: real git repositories with the same commits on every machine.

A sample is stored as plain files: `sample.toml` (description, issue and commits), `tree/` (the final state of its
files) and `history/NN/` (earlier versions of files, as of commit NN). Run as a program, it builds one sample and prints
its data as JSON.
"""

import argparse
import copy
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent / "samples"
WEBHOOK = Path(__file__).parent / "webhook"
BRANCH = "main"


@dataclass(frozen=True)
class Sample:
    """A built sample. `directory` is the repository's working tree, `head` its last commit;
    `expected` is how its task should end: `resolved` or `unresolved`."""

    name: str
    directory: Path
    repository: str
    description: str
    head: str
    commits: int
    expected: str
    issue_title: str
    issue_body: str
    issue_labels: tuple[str, ...]
    reporter: str
    opened: str
    """When the issue was opened, ISO 8601 in UTC."""
    failing_tests: tuple[str, ...]


class SampleError(RuntimeError):
    """A sample is unknown or its stored files are inconsistent, or its directory cannot be used."""


def names() -> list[str]:
    """The samples that can be built."""
    return sorted(path.parent.name for path in SAMPLES.glob("*/sample.toml"))


def build(sample: str, directory: Path) -> Sample:
    """Creates the repository of a sample in `directory`, which must be empty or not exist.

    Raises `SampleError` for an unknown sample, a directory that is not empty, or commits that do not end in `tree/`.
    """
    if sample not in names():
        raise SampleError(f"no sample {sample!r} in {SAMPLES}; known: {', '.join(names())}")
    folder = SAMPLES / sample
    stored = tomllib.loads((folder / "sample.toml").read_text(encoding="utf-8"))
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise SampleError(f"{directory} is not empty: give a new directory, or remove it first")
    directory = directory.resolve()
    _git(directory, "init", "--quiet", "--template=", f"--initial-branch={BRANCH}")
    for number, commit in enumerate(stored["commits"], start=1):
        for path in commit["files"]:
            own = folder / "history" / f"{number:02d}" / path
            source = own if own.is_file() else folder / "tree" / path
            if not source.is_file():
                raise SampleError(f"{folder}: commit {number} names {path}, which is in neither history nor tree")
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        _git(directory, "add", "--force", "--", *commit["files"])
        _git(directory, "commit", "--quiet", "--message", commit["message"], identity=_identity(commit))
    _check(folder / "tree", directory)
    issue = stored["issue"]
    return Sample(
        name=sample,
        directory=directory,
        repository=stored["repository"],
        description=stored["description"],
        head=_git(directory, "rev-parse", "HEAD").strip(),
        commits=len(stored["commits"]),
        expected=stored["expected"],
        issue_title=issue["title"],
        issue_body=(folder / issue["file"]).read_text(encoding="utf-8"),
        issue_labels=tuple(issue["labels"]),
        reporter=stored["reporter"],
        opened=issue["opened"],
        failing_tests=tuple(stored["failing_tests"]),
    )


def issue_payload(sample: Sample, number: int) -> dict[str, Any]:
    """The body of the `issues` webhook that GitHub sends when the sample's issue is opened.

    It has the structure of a recorded delivery, with the sample's own names, addresses, ids and texts.
    """
    payload: dict[str, Any] = json.loads((WEBHOOK / "issues.opened.json").read_text(encoding="utf-8"))
    owner, name = sample.repository.split("/")
    issue, repository = payload["issue"], payload["repository"]
    owner_account, reporter = _account(issue["user"], owner), _account(issue["user"], sample.reporter)
    payload["repository"] = _renamed(repository, repository["full_name"], sample.repository) | {
        "id": _number(sample.repository),
        "name": name,
        "owner": owner_account,
        "description": sample.description,
        "language": "Python",
        "default_branch": BRANCH,
        "updated_at": sample.opened,
        "pushed_at": sample.opened,
    }
    payload["issue"] = _renamed(issue, repository["full_name"], sample.repository) | {
        "id": _number(f"{sample.repository}#{number}"),
        "number": number,
        "title": sample.issue_title,
        "body": sample.issue_body,
        "user": reporter,
        "labels": [
            _renamed(issue["labels"][0], repository["full_name"], sample.repository)
            | {"id": _number(label), "name": label}
            for label in sample.issue_labels
        ],
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "author_association": "CONTRIBUTOR",
        "created_at": sample.opened,
        "updated_at": sample.opened,
    }
    for key in ("url", "html_url", "labels_url", "comments_url", "events_url"):
        payload["issue"][key] = payload["issue"][key].replace("/issues/1", f"/issues/{number}")
    payload["issue"]["reactions"]["url"] = f"{payload['issue']['url']}/reactions"
    payload["sender"] = copy.deepcopy(reporter)
    return payload


def _account(template: dict[str, Any], login: str) -> dict[str, Any]:
    number = _number(login)
    return _renamed(template, template["login"], login) | {
        "id": number,
        "node_id": f"U_{number}",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{number}?v=4",
    }


def _renamed(value: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    renamed: dict[str, Any] = json.loads(json.dumps(value).replace(old, new))
    return renamed


def _number(name: str) -> int:
    """An id that is the same on every machine, in the range of real ones."""
    return 100_000_000 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 900_000_000


def _identity(commit: dict[str, Any]) -> dict[str, str]:
    name, _, rest = commit["author"].partition(" <")
    email, date = rest.rstrip(">"), commit["date"]
    return {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", name), ("EMAIL", email), ("DATE", date))
    }


def _git(directory: Path, *arguments: str, identity: dict[str, str] | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"} | (identity or {})
    settings = ("core.hooksPath=/dev/null", "core.autocrlf=false", "core.fileMode=false", "commit.gpgSign=false")
    command = ["git", "-C", str(directory), *(part for setting in settings for part in ("-c", setting)), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SampleError(f"git {arguments[0]} failed in {directory}: {done.stderr.strip()}")
    return done.stdout


def _check(tree: Path, directory: Path) -> None:
    """Raises `SampleError` unless the last commit's files equal the stored tree."""
    stored = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if _belongs(path)}
    committed = {
        path: (directory / path).read_bytes() for path in _git(directory, "ls-files", "-z").split("\0") if path
    }
    if different := sorted(path for path in stored | committed if stored.get(path) != committed.get(path)):
        raise SampleError(f"the history of {tree.parent.name} does not end in its tree: {', '.join(different)}")


def _belongs(path: Path) -> bool:
    return path.is_file() and not any(part in ("__pycache__", ".pytest_cache") for part in path.parts)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build one of the demo's sample repositories.")
    parser.add_argument("sample", choices=names())
    parser.add_argument("directory", type=Path, help="a new or empty directory")
    parser.add_argument("--payload", type=Path, help="also write the issue's webhook body to this file")
    parser.add_argument("--number", type=int, default=1, help="the issue's number in the payload")
    options = parser.parse_args()
    try:
        sample = build(options.sample, options.directory)
    except SampleError as error:
        sys.stderr.write(f"build: {error}\n")
        return 1
    if options.payload:
        options.payload.write_text(json.dumps(issue_payload(sample, options.number), indent=2), encoding="utf-8")
    sys.stdout.write(json.dumps(asdict(sample) | {"directory": str(sample.directory)}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
