"""The only name that an installed Penstock occupies in site-packages.

The rooms (`core`, `assets`, `sandbox`, …) have common names. A wheel stores them in `penstock/rooms`, which is on no
import path, so they do not hide other packages of these names. `use_rooms` puts that folder first on the import path of
Penstock's own processes, so that no other package hides the rooms. In a checkout the rooms are next to this package.
"""

import os
import sys
from pathlib import Path

_INSTALLED = Path(__file__).parent / "rooms"
ROOMS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[1]
"""The folder that holds the rooms of this copy of Penstock."""

_NAMES = ("core", "threads", "sandbox", "objects", "gateway", "assets", "sensors", "dagster_project")


def use_rooms() -> None:
    """Makes this process and its child processes import the rooms of this copy.

    Raises `ImportError` if another package with a room's name was imported before.
    """
    for name in _NAMES:
        module = sys.modules.get(name)
        origin = getattr(module, "__file__", None)
        if module is not None and (origin is None or not Path(origin).is_relative_to(ROOMS)):
            raise ImportError(
                f"a package {name!r} from {origin or 'an unknown place'} was imported before Penstock's own: "
                "install Penstock into a virtual environment of its own"
            )
    rooms = str(ROOMS)
    if sys.path[:1] != [rooms]:
        sys.path.insert(0, rooms)
    # Child processes are started with `-m` in the folder of the rooms. Without this variable that folder comes first.
    os.environ.pop("PYTHONSAFEPATH", None)
