"""Lists the paths of a work tree that differ from its HEAD."""

import os

from core.git import command
from core.git.objects import ObjectStore
from core.git.records import Status


def status(repository: ObjectStore) -> Status:
    """See `Repository.status`."""
    if repository.git_dir == repository.path:
        return Status(())
    # `status` may run the clean filter of a changed file, which is a program: override each filter with nothing.
    _, listed = repository.git(
        "config", "--includes", "--null", "--name-only", "--list", purpose="reading the configuration"
    )
    keys = {key.decode(errors="surrogateescape") for key in listed.split(b"\0") if key.startswith(b"filter.")}
    off = {key: "false" if key.endswith(".required") else "" for key in sorted(keys)}
    env = command.with_config(command.environment(), off)
    _, output = command.run(
        [
            f"--work-tree={repository.path}",
            "--no-optional-locks",
            "-C",
            str(repository.path),
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--ignore-submodules=all",
            "--untracked-files=normal",
        ],
        purpose="looking for uncommitted changes",
        where=repository.path,
        git_dir=repository.git_dir,
        env=env,
    )
    return Status(tuple(os.fsdecode(line[3:]) for line in output.split(b"\0") if line))
