"""What searches find through an adapter while a migration builds, on real packages with known answers.

The releases of `eval_sets/localisation` become repositories whose commit messages are the set's queries. The old
model indexes them, the new one builds a part, and the adapter is learned and judged as in a migration.
`PENSTOCK_BENCH_ADAPTER` names the models (old:new, more by commas), the packages and the share built.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.evals.harvest.releases import fetch_release
from assets.migrations.adapter import training as adapter
from assets.migrations.adapter.report import as_markdown
from assets.migrations.backfill.build import Progress, Stopped, build
from assets.migrations.lifecycle import switch
from assets.migrations.lifecycle.record import Migration, Options
from assets.platform import Platform
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade
from core.embedding import catalogue, find_spec
from core.settings import Settings
from core.teams import DEFAULT_TEAM

MODELS, PACKAGES, SHARE = os.environ.get(
    "PENSTOCK_BENCH_ADAPTER", "wordllama:all-minilm-l6-v2-q anyio,click,httpx,marshmallow,networkx,rich 0.3"
).split()
CASES = Path(__file__).parents[2] / "eval_sets" / "localisation" / "cases.jsonl"
LARGEST_FILE = 1 << 20


def measure() -> list[dict[str, Any]]:
    rows = []
    for pair in MODELS.split(","):
        old, new = pair.split(":")
        with _indexed(old) as platform:
            migration = _partly_built(platform, new)
            row = adapter.train(platform, migration, tell=lambda text: print(text, file=sys.stderr))  # noqa: T201
        print(as_markdown(adapter.as_data(row)), file=sys.stderr)  # noqa: T201
        found = {one["name"]: one["ndcg"] for one in row.evaluation.get("alone", [])}
        best = max((value for name, value in found.items() if name.startswith("adapter")), default=0.0)
        own = next((value for name, value in found.items() if name.startswith(f"{old} asked")), 0.0)
        rows.append({
            "name": f"nDCG@10 by the adapter's vectors alone, {old} to {new}, {row.covered:.0%} built",
            "value": best, "unit": "nDCG", "against": f"{old}'s own queries", "against_value": own,
            "ratio": round(best / own, 3) if own else 0.0,
        })  # fmt: skip
    return rows


@contextmanager
def _indexed(model: str) -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "postgres")
        try:
            server.ensure_database("penstock")
            upgrade(server.url("penstock", owner=True), login=LOGIN)
            settings = Settings(home=Path(folder) / "home", embedding_model=model, allowed_roots=(Path(folder),))
            platform = Platform(settings, server.url("penstock"))
            for package, cases in _cases().items():
                place = Path(folder) / f"{package}.git"
                _write_repository(place, package, cases)
                add_source(platform.database, DEFAULT_TEAM, package, str(place), roots=settings.roots)
                asked = platform.models.in_use().asked
                refresh(
                    platform.database, DEFAULT_TEAM, package,
                    mirrors=platform.mirrors, roots=settings.roots, embedders=asked,
                )  # fmt: skip
            yield platform
            platform.close()
        finally:
            server.release()


def _cases() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in CASES.read_text(encoding="utf-8").splitlines():
        given = json.loads(line)["input"]
        if given["package"] in PACKAGES.split(","):
            found[given["package"]].append(given)
    return found


def _write_repository(place: Path, package: str, cases: list[dict[str, Any]]) -> None:
    """The newest release that the set names; then a commit a query, which touches the files that are its answer."""
    newest = max((case["version"] for case in cases), key=lambda text: [int(part) for part in text.split(".")])
    folder = fetch_release(package, newest)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST_FILE
        if path.name != "PKG-INFO" and ".egg-info/" not in path.as_posix()
    }
    stream = _commit(0, "begin", files)
    for number, case in enumerate(cases, start=1):
        touched = [name for name in case["files"] if name in files]
        if touched:
            files.update({name: files[name] + b"\n" for name in touched})
            stream += _commit(number, case["query"], {name: files[name] for name in touched})
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", place], env=environment, check=True)
    subprocess.run(["git", "-C", place, "fast-import", "--quiet"], input=stream, env=environment, check=True)


def _commit(number: int, message: str, files: dict[str, bytes]) -> bytes:
    said = message.encode()
    head = f"commit refs/heads/main\ncommitter A <a@example.org> {1_700_000_000 + number} +0000\ndata {len(said)}\n"
    parts = [head.encode(), said, b"\n"]
    for name, content in files.items():
        parts += [f"M 100644 inline {json.dumps(name)}\ndata {len(content)}\n".encode(), content, b"\n"]
    return b"".join(parts)


def _partly_built(platform: Platform, name: str) -> Migration:
    new = catalogue.register(platform.database, find_spec(name, platform.settings.models_folder))
    with platform.database.system() as connection:
        old = next(entry for entry in catalogue.entries(connection) if entry.state == "serving")
    migration = switch.start(platform.database, old, new, Options(), {})
    done = [Progress(0, 1, 0.0, 0.0)]

    def check() -> None:
        if done[-1].chunks >= float(SHARE) * done[-1].total:
            raise Stopped("as much as was asked for")

    with suppress(Stopped):
        build(platform.database, platform.models.open(new), batch_chunks=128, check=check, on_progress=done.append)
    return migration
