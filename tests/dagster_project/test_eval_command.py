"""`penstock eval` as a person uses it, in processes of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.evals.runs.subject import UnknownSubject
from dagster_project.cli import main
from dagster_project.cli.app import app
from dagster_project.eval_places import code_commit
from dagster_project.subjects.registry import open_subject
from sandbox.environments.languages import go
from sandbox.protocol import Sandbox
from tests.assets.evals.eval_cases import plain_set

REPAIR = Path(__file__).parents[2] / "eval_sets" / "repair"
PENSTOCK = str(Path(sys.executable).with_name("penstock"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    plain_set(home / "eval_sets" / "toy", 120)
    return home


def _penstock(home: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")} | {"PENSTOCK_HOME": str(home)}
    done = subprocess.run(
        [PENSTOCK, "eval", *arguments], capture_output=True, text=True, timeout=600, env=env, check=False
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def _json(home: Path, *arguments: str, code: int = 0) -> Any:
    return json.loads(_penstock(home, *arguments, "--json", code=code).stdout)


def test_run_compare_report_and_query(home: Path, tmp_path: Path) -> None:
    for name, skill in (("base", "1.4"), ("cand", "-0.2")):
        told = _json(home, "run", "toy", "--subject", f"scripted:name={name},skill={skill}", "--run", name)
        assert (told["run"], told["done"], told["complete"]) == (name, 120, True)
    said = _penstock(home, "compare", "base", "cand", "--out", str(tmp_path / "out"))
    assert said.stdout.startswith("**Worse: cand is worse than base")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "junit.xml", "report.html", "report.json", "report.md",
    ]  # fmt: skip
    assert _json(home, "compare", "base", "cand", "--fail-on", "worse", code=1)["verdict"] == "worse"
    assert _json(home, "query", "SELECT count(*) AS n FROM results") == [{"n": 240}]
    _penstock(home, "report", "toy", "--out", str(tmp_path / "set.html"))
    assert "Success over time" in (tmp_path / "set.html").read_text()
    assert [one["record"]["run"] for one in _json(home, "runs")] == ["base", "cand"]


def test_sets_are_listed_with_the_users_own(home: Path) -> None:
    listed = {row["name"]: row for row in _json(home, "sets")}
    assert {"toy", "repair"} <= set(listed)
    assert listed["repair"]["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nothing", "--subject", "search"), "there is no eval set 'nothing'; known: "),
        (("run", "toy", "--subject", "search"), "cannot run sets of kind 'plain'"),
        (("run", "toy", "--subject", "magic"), "'magic' is not a subject"),
        (("run", "toy", "--subject", "scripted:skill"), "write each option of a subject once, as key=value"),
        (("run", "toy", "--subject", "scripted:speed=1"), "scripted has no option speed"),
        (("run", "toy", "--subject", "scripted", "--split", "odd"), "toy has no split 'odd'"),
        (("run", "toy", "--subject", "scripted", "--run", "../x"), "'../x' is not a valid name of a run"),
        (("run", "toy", "--subject", "scripted:name=../x"), "'../x' is not a valid name of a subject"),
        (("run", "toy", "--subject", "scripted:skill=nan"), "give finite numbers"),
        (("run", "repair", "--subject", "model:model=nobodys"), "no chat model 'nobodys'"),
        (("compare", "one", "other"), "'one' is neither a run nor a subject with a run"),
        (("query", "DROP TABLE results"), "results"),
    ],
)
def test_a_failure_is_reported_in_one_line(
    home: Path,
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["penstock", "eval", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_an_incomplete_run_says_how_to_resume(home: Path) -> None:
    subject = "scripted:broken=1"
    done = _penstock(home, "run", "toy", "--subject", subject, "--run", "lossy", "--parallel", "16", code=1)
    assert f"--subject {subject} --run lossy" in done.stderr


def test_a_run_names_the_commit_of_the_program_and_whether_its_code_was_changed() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}(-changed-[0-9a-f]{8})?|unknown", code_commit())


def test_the_warm_process_does_not_import_the_libraries_of_evals() -> None:
    heavy = ("polars", "duckdb", "scipy")
    program = f"import sys, dagster_project.definitions; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.strip() == "[]"


def test_the_repair_engine_is_a_subject(tmp_path: Path, sandbox: Sandbox) -> None:
    from assets.evals.runs.subject import Attempt
    from assets.evals.sets.eval_set import load_set

    found = load_set(Path(__file__).parents[2] / "eval_sets" / "repair")
    case = next(case for case in found.cases if case.id == "lendery-second-renewal")
    subject = open_subject("search:seconds=60")
    assert subject.identity().keys() >= {"engine", "budget_seconds", "embedding_model", "sandbox"}
    subject.start()
    result = subject.solve(Attempt(case, 0, 1, 60.0, tmp_path / "t"))
    assert (result.outcome, result.success) == ("correct", True)
    assert result.metrics["iterations"] >= 1
    assert result.metrics["code_lines"] >= 1
    assert (tmp_path / "t" / "trajectory.jsonl").read_text().count("\n") > 3
    assert (tmp_path / "t" / "patch.diff").read_text().startswith("diff --git ")


def test_a_run_ends_with_its_results_by_stratum(home: Path) -> None:
    run = ("run", "toy", "--subject", "scripted:name=strata", "--run", "strata", "--by", "family")
    lines = _penstock(home, *run).stdout.splitlines()
    head = next(at for at, line in enumerate(lines) if line.startswith("FAMILY"))
    assert lines[head].split() == ["FAMILY", "CASES", "RESOLVED", "PATCHES", "CORRECT", "CANDIDATES", "SECONDS"]
    assert [line.split()[:2] for line in lines[head + 1 : head + 4]] == [
        ["<b>text</b>", "40"], ["call", "40"], ["data", "40"],
    ]  # fmt: skip
    said = _penstock(home, "run", "toy", "--subject", "scripted", "--run", "strata-2", "--by", "colour")
    assert "No result has the stratum 'colour'." in said.stdout + said.stderr
    query = "SELECT strata->>'family' AS family, count(*) AS n FROM results WHERE run = 'strata' GROUP BY 1 ORDER BY 1"
    assert _json(home, "query", query)[1] == {"family": "call", "n": 40}


def test_the_cases_of_a_set_are_checked_by_running_their_tests(
    home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(home))
    monkeypatch.setattr(go, "_installed", lambda: None)
    run = CliRunner()
    cases = ("--case", "gridbill-after-midnight", "--case", "relayq-nobody-idle")
    done = run.invoke(app, ["eval", "check-cases", "repair", *cases])
    assert done.exit_code == 0, done.output
    first, second, total = done.output.splitlines()
    assert first == "gridbill-after-midnight: sound"
    assert second.startswith("relayq-nobody-idle: not runnable here: The tests need Go 1.21")
    assert total == "1 case sound, 0 not, 1 not runnable here; 1 have a wrong patch"
    root = home / "eval_sets" / "broken"
    shutil.copytree(REPAIR, root, ignore=lambda at, names: names if Path(at).name == "cases" else [])
    shutil.copytree(REPAIR / "cases" / "gridbill-after-midnight", root / "cases" / "gridbill-after-midnight")
    case = root / "cases" / "gridbill-after-midnight"
    (case / "wrong.patch").write_text((case / "fix.patch").read_text())
    (root / "set.json").write_text((REPAIR / "set.json").read_text().replace('"repair",', '"broken",', 1))
    done = run.invoke(app, ["eval", "check-cases", "broken"])
    assert done.exit_code == 1
    assert "gridbill-after-midnight: the held-back tests pass with wrong.patch" in done.output
    for arguments, said in (
        (["repair", "--case", "nobody"], "repair has no case 'nobody'"),
        (["gate-traps"], "only cases of repair sets are checked"),
    ):
        done = run.invoke(app, ["eval", "check-cases", *arguments])
        assert done.exit_code != 0 and said in str(done.exception) + done.output


def test_a_trend_shows_each_run_and_fails_when_the_newest_has_drifted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(home))

    def penstock(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["eval", *arguments])
        assert done.exit_code == code, done.output
        return done

    for name in ("steady-1", "steady-2"):
        penstock("run", "toy", "--subject", "scripted:name=steady,skill=1", "--run", name)
    rows = json.loads(penstock("trend", "toy", "--subject", "steady", "--json").stdout)
    assert [(row["run"], row["drifted"]) for row in rows] == [("steady-1", None), ("steady-2", False)]
    assert rows[0]["success"] == rows[1]["success"]
    assert rows[0]["iterations"] > 0
    said = penstock("trend", "toy", "--subject", "steady", "--last", "1")
    assert said.stdout.count("\n") == 2, "a heading and one run"
    assert "steady on toy 1.0.0: " in said.stderr
    assert "no matching run" in str(penstock("trend", "toy", "--subject", "nobody", code=1).exception)
    # What drift looks like from outside: the same identity, and other results.
    journal = home / "evals" / "runs" / "steady-2" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"success":true', '"success":false'))
    drifted = penstock("trend", "toy", "--subject", "steady", code=1)
    assert "DRIFTED: Worse: steady-2 is worse than steady-1" in drifted.stdout, drifted.stdout


def test_the_repair_engine_can_be_run_with_some_operators() -> None:
    some, without = (open_subject(f"search:seconds=5,operators={text}") for text in ("values+conditions", "-guards"))
    assert some.name == "search-5s-values.conditions" and without.name == "search-5s-without-guards"
    assert some.identity()["operators"] == "conditions values"
    assert "guards" not in without.identity()["operators"] and "calls" in without.identity()["operators"]
    assert "operators" not in open_subject("search:seconds=5").identity()
    with pytest.raises(UnknownSubject, match="unknown operators 'magic'; known: assignments, calls"):
        open_subject("search:operators=magic+calls")


def test_an_interrupted_run_says_how_to_resume(home: Path) -> None:
    command = [str(Path(sys.executable).parent / "penstock"), "eval", "run", "toy", "--run", "cut"]
    process = subprocess.Popen(  # `env`, since a shell may have started the tests with the signal ignored
        ["env", "--default-signal=INT", *command, "--subject", "scripted:seconds=0.3"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PENSTOCK_HOME": str(home)},
    )
    assert process.stderr is not None
    journal = home / "evals" / "runs" / "cut" / "journal.jsonl"
    until = time.monotonic() + 300
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 130, said
    assert (
        "finished results are stored; resume with: penstock eval run toy --subject scripted:seconds=0.3 --run cut"
        in said
    )
    assert "Traceback" not in said
