"""Where the rooms lie in a wheel: below `penstock/rooms`, since their names are too common for site-packages.

Everything else about the package is in pyproject.toml. An editable install needs none of this: there the rooms are
found in the checkout (see `penstock/__init__.py`).
"""

from setuptools import find_packages, setup

ROOMS = ("core", "threads", "sandbox", "objects", "gateway", "assets", "sensors", "dagster_project")

rooms = find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])
setup(
    packages=["penstock", *(f"penstock.rooms.{name}" for name in rooms), "penstock.rooms.eval_sets"],
    package_dir={
        "penstock.rooms": ".",
        **{f"penstock.rooms.{name}": name.replace(".", "/") for name in (*rooms, "eval_sets")},
    },
    package_data={
        "": [
            "templates/*.html",
            "static/*",
            "templates/*.css",
            "prompts/*/*.md",
            "site/*.py",
            "inside/*",
            "*.java",
            "likelihood.json",
            "database/migrations/*.sql",
        ],
        "penstock.rooms.eval_sets": ["**/*"],
    },
)
