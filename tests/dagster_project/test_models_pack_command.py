"""`penstock models pack`: what it prints, from a file and from a server of models."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from tests.deploy.chart.fake_ollama import Api

FILE = """
[[cards]]
name = "card"
memory = "24GiB"

[[models]]
name = "coder"
ollama = "coder:7b"
context = 8192
parallel = 4

[[models]]
name = "large"
weights = "40GiB"
layers = 80
kv_heads = 8
head_size = 128
context = 8192
"""
LISTED = {"models": [{"model": "coder:7b", "name": "coder:7b", "size": 4 << 30, "digest": "a" * 64}]}
SHOWN = {
    "details": {"family": "qwen2"},
    "model_info": {
        "general.architecture": "qwen2", "qwen2.block_count": 28, "qwen2.attention.head_count": 28,
        "qwen2.attention.head_count_kv": 4, "qwen2.embedding_length": 3584,
    },
}  # fmt: skip


def answer(path: str, body: bytes) -> tuple[int, bytes]:
    if path == "/api/show":
        assert json.loads(body)["model"] == "coder:7b"
    return 200, json.dumps(LISTED if path == "/api/tags" else SHOWN).encode()


def run(tmp_path: Path, text: str, *options: str) -> Result:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    return CliRunner().invoke(app, ["models", "pack", str(file), *options])


def test_models_are_placed_and_what_has_no_place_is_explained(tmp_path: Path) -> None:
    with Api(answer) as server:
        result = run(tmp_path, FILE, "--ollama", f"http://127.0.0.1:{server.port}", "--json")
    assert result.exit_code == 1  # one has no place
    found = json.loads(result.stdout)
    # 4 GiB, 28 layers x 4 heads of 128 in f16: 57,344 bytes for each of 4 x 8,192 tokens, and 512 MiB for computing
    assert found["models"][0] == {
        "name": "coder",
        "memory_mib": 4096 + 1792 + 512,
        "weights_mib": 4096,
        "cache_mib": 1792,
    }
    assert found["cards"] == [
        {"name": "card", "memory_mib": 24576, "headroom_mib": 1024, "free_mib": 23552 - 6400, "models": ["coder"]}
    ]
    assert found["unplaced"][0]["name"] == "large" and "smaller quantisation" in found["unplaced"][0]["why"]


def test_a_table_for_people(tmp_path: Path) -> None:
    result = run(
        tmp_path, FILE.replace('ollama = "coder:7b"', 'weights = "4GiB"\nlayers = 28\nkv_heads = 4\nhead_size = 128')
    )
    assert "coder" in result.stdout and "6.2 GiB" in result.stdout
    assert "large has no place: it needs" in result.stderr


def test_all_placed_is_success(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            FILE.replace("40GiB", "4GiB").replace(
                'ollama = "coder:7b"', 'weights = "4GiB"\nlayers = 28\nkv_heads = 4\nhead_size = 128'
            ),
        ).exit_code
        == 0
    )


@pytest.mark.parametrize(
    "text",
    [
        "[[cards]]",
        FILE + '\n[[models]]\nname = "large"\nweights = "1GiB"\nlayers = 1\nkv_heads = 1\nhead_size = 1\ncontext = 1\n',
    ],
)
def test_a_wrong_file_is_one_sentence(text: str, tmp_path: Path) -> None:
    with Api(answer) as server:
        result = run(tmp_path, text, "--ollama", f"http://127.0.0.1:{server.port}")
    assert isinstance(result.exception, CommandFailed)
    assert "\n" not in str(result.exception)


def test_a_server_that_is_down_is_named(tmp_path: Path) -> None:
    with Api(answer) as server:
        port = server.port
    result = run(tmp_path, FILE, "--ollama", f"http://127.0.0.1:{port}")
    assert isinstance(result.exception, CommandFailed)
    assert f"http://127.0.0.1:{port}" in str(result.exception)
