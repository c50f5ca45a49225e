"""What the last commits changed, as a signal of where the next change may be."""

from core.git import Repository

COMMITS = 200
_PATHS = 2000


def recent_changes(repository: Repository, commit: str) -> dict[str, int]:
    """Path -> age of its last change in commits, over the last `COMMITS` commits that are not merges.

    A commit that changed more than 50 paths says nothing of any of them and is passed over.
    """
    ages: dict[str, int] = {}
    for age, made in enumerate(repository.log(commit, limit=COMMITS)):
        if len(made.paths) > 50:
            continue
        for path in made.paths:
            if len(ages) < _PATHS and path.isprintable():
                ages.setdefault(path, age)
    return ages
