"""Builds that are kept with an environment and continued in each new workspace, by builders that compare times.

The times of sources say nothing there: a workspace is a copy of some commit. So each file that differs from the one
that was built gets the present time, and each other file an old one.
"""

from .protocol import INSIDE, SCRATCH, BuildStep

_SUMS = r"""
sums() {
    find . \( -path ./.git -o -path ./.penstock \) -prune -o -type f -print0 | xargs -0 -r sha256sum | LC_ALL=C sort
}
"""
_START = (
    _SUMS
    + r"""
mkdir -p .penstock/kept && sums > .penstock/kept/sums && touch .penstock/start
"""
)
_PACK = r"""
find "$@" -newer .penstock/start \( -type f -o -type l \) ! -path './.git/*' ! -path './.penstock/kept/*' \
    ! -path .penstock/start ! -path ./.penstock/start -print0 |
    tar --format=posix --null -T - -cf .penstock/kept/build.tar
"""
_CONTINUE = (
    _SUMS
    + r"""
from=$1/kept
if ! [ -f "$from/build.tar" ] || [ -f .penstock/kept-sums ]; then exit 0; fi
mkdir -p .penstock
sums > .penstock/kept-sums
if grep -q '^\\' .penstock/kept-sums; then exit 0; fi  # a name with a line break
find . \( -path ./.git -o -path ./.penstock \) -prune -o -type f -print0 | xargs -0 -r touch -d 2001-01-01
LC_ALL=C comm -13 "$from/sums" .penstock/kept-sums | cut -c 67- | tr '\n' '\0' | xargs -0 -r touch
tar --skip-old-files --no-same-owner -xf "$from/build.tar"
"""
)


def start_build(step: BuildStep) -> None:
    """Notes what is about to be built."""
    step.run(["/bin/sh", "-c", _START], {})


def keep_build(step: BuildStep, places: tuple[str, ...]) -> None:
    """Keeps all files in `places` that were written since `start_build`. Raises `BuildFailed`."""
    step.run(["/bin/sh", "-c", _PACK, "sh", *places], {})
    step.keep(f"{SCRATCH}/kept", "kept")


CONTINUE = ("/bin/sh", "-c", _CONTINUE, "sh", INSIDE)
"""Puts a kept build into a new workspace; does nothing where there is none."""
