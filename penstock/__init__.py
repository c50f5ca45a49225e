"""The one name that an installed Penstock takes in site-packages.

The rooms (`core`, `assets`, `sandbox`, …) are common names. A wheel keeps them in `penstock/rooms`, which is on no
import path, so they hide nobody's package of the same name; `use_rooms` puts them first for Penstock's own processes,
so that nobody's package hides them. In a checkout the rooms lie beside this package.
"""

import os
import sys
from pathlib import Path

_INSTALLED = Path(__file__).parent / "rooms"
ROOMS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[1]
"""The folder that holds the rooms of this copy of Penstock."""

_NAMES = ("core", "gateway", "sandbox", "assets", "sensors", "dagster_project")


def use_rooms() -> None:
    """Makes this process and those that it starts import the rooms of this copy.

    Raises `ImportError` if a package of another origin was already imported under the name of a room.
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
    # Other processes are started with `-m` in the folder of the rooms, which only then comes first for them too.
    os.environ.pop("PYTHONSAFEPATH", None)
