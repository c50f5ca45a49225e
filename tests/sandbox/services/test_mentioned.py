"""What CI and compose files start is mentioned, and nothing in them can harm."""

from pathlib import Path

import pytest

from sandbox.environments.services import mentioned_services

WORKFLOW = """
on: push
jobs:
  lint: {runs-on: x}
  test:
    services:
      db:
        image: postgres:15-alpine
        env: {POSTGRES_USER: app, POSTGRES_PASSWORD: "${{ secrets.X }}", POSTGRES_DB: app_test}
      search:
        image: opensearch:2
    steps: []
"""
COMPOSE = """
x-common: &common
  restart: always
services:
  cache:
    <<: *common
    image: docker.io/valkey/valkey:8.0
  db:
    image: pgvector/pgvector:pg17
    environment: ["POSTGRES_DB=other"]
  web: {build: .}
"""


def found(root: Path, files: dict[str, str]) -> list[tuple[str, str, str, str]]:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return [(one.name, one.image, one.file, one.declaration) for one in mentioned_services(root)]


def test_services_of_workflows_and_compose_files_are_found_with_how_to_declare_them(tmp_path: Path) -> None:
    files = {".github/workflows/test.yml": WORKFLOW, "compose.yaml": COMPOSE}
    assert found(tmp_path, files) == [
        ("postgresql", "postgres:15-alpine", ".github/workflows/test.yml",
         '{ version = "15", database = "app_test", user = "app" }'),
        ("redis", "docker.io/valkey/valkey:8.0", "compose.yaml", '{ version = "8" }'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "declaration"),
    [
        ("redis", "{}"),
        ("redis:latest", "{}"),
        ("bitnami/redis:7.2", '{ version = "7" }'),
        ("registry.example.org:5000/mirror/redis:6@sha256:00ff", '{ version = "6" }'),
        ("myredis:7", None),
        ("redis-exporter:1", None),
        ("example/app:redis", None),
    ],
)
def test_images_are_recognised_by_their_names(tmp_path: Path, image: str, declaration: str | None) -> None:
    services = found(tmp_path, {"docker-compose.yml": f'services:\n  one:\n    image: "{image}"\n'})
    assert services == ([("redis", image, "docker-compose.yml", declaration)] if declaration else [])


@pytest.mark.parametrize(
    "text",
    [
        "services: [",
        "services: !!python/object/apply:os.system ['touch x']",
        "[" * 5000,
        "a: &a [1]\n" + "".join(f"b{n}: &b{n} [*{'b' + str(n - 1) if n else 'a'}, *{'b' + str(n - 1) if n else 'a'}]\n"
                                 for n in range(60)),
        "services:\n  a: &a {image: x}\n  b: {<<: [*a, *a], image: &i [*i]}\n",
        "services: " + "x" * 200_000,
        "\0",
        "services: {1: {image: {a: redis}}, [x]: redis:7}",
    ],
)  # fmt: skip
def test_hostile_files_are_passed_over(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, {"compose.yml": text}) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "compose.yml").write_text("services: {one: {image: redis}}")
    root = tmp_path / "root"
    root.mkdir()
    (root / "compose.yml").symlink_to("../outside/compose.yml")
    assert mentioned_services(root) == []
