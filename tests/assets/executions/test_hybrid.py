"""The engine `hybrid` from end to end: a scripted server, real repositories, the real sandbox, the real gate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.executions.attempt.execute import execute
from assets.executions.attempt.state import AttemptInput, Callbacks
from assets.executions.engines.auto import AutoEngine
from assets.executions.engines.hybrid.engine import AS_SEARCH, HybridEngine
from assets.executions.engines.open_engine import EngineChoice, open_engine
from assets.executions.judging.gate import judge
from assets.plans.planner import make_plan
from core.chat import UnknownChatModel
from core.settings import Settings
from core.work import Budget, Execution, TaskContext, TaskText, VerdictKind
from sandbox.protocol import Sandbox

from .conftest import Files
from .test_resume import Killed, MemoryStore

Repair = Callable[..., Execution]

SHOP = '''"""A shop."""


def discount(total, items):
    """Ten percent off from three items on, twenty from ten on."""
    return total


def label(name):
    return name.strip()
'''
TESTS = """from shop import discount, label


def test_discount():
    assert discount(100, 3) == 90
    assert discount(50, 9) == 45
    assert discount(200, 10) == 160
    assert discount(30, 12) == 24
    assert discount(40, 2) == 40


def test_label():
    assert label(" pen ") == "pen"
"""
FILES: Files = {"shop.py": SHOP, "tests/test_shop.py": TESTS}
ISSUE = "discount() gives no discount\n\nTen percent off from three items on, twenty from ten on."
RIGHT = """    if items >= 10:
        return total * 80 // 100
    if items >= 3:
        return total * 90 // 100
    return total
"""
SAME = """    # twenty, ten, or nothing
    if (items >= 10):
        return (total * 80) // 100
    if items >= 3: return total*90 // 100
    return total
"""
WRONG = """    if items >= 3:
        return total * 90 // 100
    return total
"""
OLD = '    """Ten percent off from three items on, twenty from ten on."""\n    return total\n'
QUOTED = OLD.partition("\n")[0] + "\n"
EASY: Files = {
    "shop.py": "def cheapest(prices):\n    return max(prices)\n",
    "tests/test_shop.py": "from shop import cheapest\n\n\ndef test_cheapest():\n    assert cheapest([2, 7]) == 2\n",
}


def edit(new: str) -> dict[str, str]:
    return {"path": "shop.py", "old": OLD, "new": QUOTED + new}


def sample(new: str) -> str:
    return json.dumps({"known": True, "edits": [edit(new)]})


UNKNOWN = json.dumps({"known": False})
PLACE = json.dumps({"known": True, "places": [{"path": "shop.py", "function": "discount"}]})


@pytest.fixture
def settings(tmp_path: Path, chat_server: Any) -> Settings:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    text = f'provider = "openai"\nurl = "{chat_server.url}/v1"\nmodel = "scripted"\ntimeout = 5\nretries = 0\n'
    (folder / "chat.toml").write_text(text)
    return Settings(home=tmp_path / "home", models=tmp_path / "models", chat_model="mine")


@pytest.fixture
def play(repair: Repair, chat_server: Any, settings: Settings) -> Callable[..., Execution]:
    """Repairs with a model that answers the questions for places and edits in order, then makes the given calls, one
    list in each answer, and then gives up."""

    def run(
        *calls: Any, places: str = PLACE, edits: tuple[str, ...] = (), files: Files = FILES, **more: Any
    ) -> Execution:
        samples = iter(edits)

        def script(request: Any) -> Any:
            fields = (request.schema or {}).get("properties", {})
            if "places" in fields:
                return chat_server.reply(places)
            if "edits" in fields:
                return chat_server.reply(next(samples, UNKNOWN))
            if request.answers >= len(calls):
                return chat_server.reply(calls=(("give_up", {}),))
            said = calls[request.answers]
            return chat_server.reply(said) if isinstance(said, str) else chat_server.reply(calls=tuple(said))

        chat_server.script = more.pop("script", script)
        engine = open_engine(EngineChoice("hybrid"), more.pop("settings", settings))
        assert isinstance(engine, HybridEngine)
        return repair(files, more.pop("issue", ISSUE), engine=engine, **more)

    return run


class Tried(list[dict[str, Any]]):
    """Records the trials of the model's changes."""

    def __call__(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "try" and "model" in body["operators"]:
            self.append(body)


def asked(chat_server: Any, field: str) -> list[Any]:
    return [one for one in chat_server.requests if field in ((one.schema or {}).get("properties", {}))]


def test_what_the_search_repairs_costs_no_request(play: Repair, chat_server: Any) -> None:
    done = play(files=EASY, issue="cheapest() gives the dearest price")
    assert done.patch is not None and done.engine == "hybrid" and not chat_server.bodies
    assert done.model is None and done.iterations == done.evidence.candidates.tried


def test_equal_samples_are_tested_once_and_the_most_frequent_first(play: Repair, chat_server: Any) -> None:
    recorded: list[tuple[str, dict[str, Any]]] = []
    done = play(edits=(sample(WRONG), sample(RIGHT), sample(SAME)), record=lambda *entry: recorded.append(entry))
    assert done.patch is not None and "+        return total * 80 // 100" in done.patch.diff
    assert judge(done.evidence, done.patch).verdict is not VerdictKind.FAIL
    assert done.model is not None and done.model.actions == {"places": 1, "edits": 3} and done.iterations == 4
    assert {"hybrid/edits", "v2/system"} <= set(done.model.prompts)
    tried = [body for kind, body in recorded if kind == "try" and "model" in body["operators"]]
    assert [body["candidates"] for body in tried] == [1]
    groups = next(body for _, body in recorded if "groups" in body)
    assert groups["groups"] == [2, 1] and groups["abstained"] == 0
    assert [body["turn"] for kind, body in recorded if kind == "turn"] == ["places", "again", "samples"]
    question = asked(chat_server, "places")[0].turns[1][1]
    assert "small edits were tried" in question and "def discount(total, items):" in question
    assert [body["temperature"] for body in chat_server.bodies[1:4]] == [0, 0.7, 0.7]
    assert len({body.get("seed") for body in chat_server.bodies[1:4]}) == 3


def test_the_tools_follow_and_the_model_knows_what_was_refuted(play: Repair, chat_server: Any) -> None:
    done = play([("edit", edit(WRONG)), ("run_tests", {})], [("edit", {"path": "shop.py", "old": WRONG, "new": RIGHT}),
                ("run_tests", {})], edits=(sample(WRONG),) * 3)  # fmt: skip
    assert done.patch is not None and done.model is not None
    first, second = [one for one in chat_server.requests if one.schema is None][:2]
    opening = first.turns[1][1]
    assert "What it found out" in opening and "<data-" in opening and "if items >= 3" in opening
    assert "Still failing" in second.turns[-1][1], "the same change was tested before, and its outcome is told"
    assert done.model.actions["run_tests"] == 2


def test_a_change_that_was_refuted_is_not_tested_again(play: Repair) -> None:
    tried = Tried()
    play([("edit", edit(WRONG)), ("run_tests", {})], edits=(sample(WRONG),) * 3, record=tried)
    assert len(tried) == 1


@pytest.mark.parametrize("known", [True, False])
def test_the_search_goes_on_at_places_that_the_model_names_and_exist(
    known: bool, play: Repair, chat_server: Any
) -> None:
    named = [{"path": "gone.py", "line": 3}, {"path": "shop.py", "line": 999}, {"path": "shop.py", "function": "label"}]
    recorded: list[tuple[str, dict[str, Any]]] = []
    play(places=json.dumps({"known": known, "places": named}), record=lambda *entry: recorded.append(entry))
    question = asked(chat_server, "edits")[0].turns[1][1]
    assert "shop.py discount: " in question
    assert ("shop.py label: " in question) is known, "no failing test executes it"
    answer = next(body for _, body in recorded if "unknown" in body)
    assert answer["places"] == ({"shop.py": 2} if known else {}) and len(answer["unknown"]) == 2 * known
    turns = [body["turn"] for kind, body in recorded if kind == "turn"]
    assert turns == ["places", "again", "samples", "tools", "rest"]


def test_a_model_that_does_not_know_is_no_failure(play: Repair) -> None:
    done = play(places=UNKNOWN, edits=(UNKNOWN, UNKNOWN, sample(WRONG)))
    assert done.patch is None and done.model is not None
    assert done.model.actions == {"places": 1, "edits": 3, "give_up": 1} and done.model.ended == "the model gave up"
    assert "was tried, and the model gave up" in done.summary


def test_guesses_beside_answers_that_do_not_know_are_not_tried(play: Repair) -> None:
    tried = Tried()
    play(edits=(UNKNOWN, sample(RIGHT), UNKNOWN), record=tried)
    assert not tried


def test_without_a_model_it_is_the_search_and_says_so(play: Repair, settings: Settings) -> None:
    done = play(
        files=EASY, issue="cheapest() gives the dearest", settings=settings.model_copy(update={"chat_model": None})
    )
    assert done.patch is not None and done.model is None
    assert "No chat model is configured: the engine hybrid worked as search." in done.evidence.notes


def test_a_description_that_is_wrong_is_the_search_too_but_not_a_name_that_was_given(settings: Settings) -> None:
    unknown = settings.model_copy(update={"chat_model": "gone"})
    engine = open_engine(EngineChoice("hybrid"), unknown)
    assert "no chat model 'gone'" in engine.notes[0] and not engine.any_language
    with pytest.raises(UnknownChatModel):
        open_engine(EngineChoice("hybrid", chat_model="gone"), unknown)


def test_a_server_that_is_down_when_it_is_opened_is_the_search(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "chat.toml").write_text('provider = "ollama"\nurl = "http://127.0.0.1:1"\nmodel = "x"\nretries = 0\n')
    engine = open_engine(EngineChoice("hybrid"), Settings(home=tmp_path, models=tmp_path / "models", chat_model="mine"))
    assert engine.notes and "does not answer" in engine.notes[0] and engine.use is None


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_server_that_dies_is_noted_and_the_search_goes_on(after: int, play: Repair, chat_server: Any) -> None:
    answers = iter([PLACE, UNKNOWN, sample(WRONG), sample(WRONG)])
    seen: list[int] = []

    def dying(request: Any) -> Any:
        seen.append(1)
        if len(seen) >= after:
            chat_server.always = "500"
        return chat_server.reply(next(answers))

    if not after:
        chat_server.always = "500"
    done = play(script=dying)
    assert done.patch is None and done.model is not None and done.evidence.candidates.tried > 20
    assert any("does not answer" in note and note.endswith(AS_SEARCH) for note in done.evidence.notes)
    assert "the chat model's server does not answer" in done.summary
    assert done.model.steps == after + 1


def test_malformed_answers_are_asked_for_once_more_and_counted(play: Repair, chat_server: Any) -> None:
    done = play(*[[("edit", '{"path": ')]] * 9, places="not JSON", edits=('{"known": 3}',) * 6)
    assert done.patch is None and done.model is not None
    assert len(asked(chat_server, "places")) == 2 and len(asked(chat_server, "edits")) == 6
    assert "could not be read" in asked(chat_server, "places")[1].turns[-1][1]
    assert done.model.actions["unreadable"] == 1 * 2 + 3 * 2 + 5
    assert done.model.ended == "5 tool calls of the model in a row could not be read"


def test_a_model_that_lies_gets_no_patch(play: Repair) -> None:
    lies = json.dumps({"known": True, "edits": [{"path": "tests/test_shop.py", "old": "== 90", "new": "== 100"}]})
    done = play(
        "All tests pass.", [("edit", json.loads(lies)["edits"][0]), ("run_tests", {})], "Done: all tests pass.",
        places=json.dumps({"known": True, "places": [{"path": "/etc/passwd", "line": 1}]}),
        edits=(lies, json.dumps({"known": True, "edits": [{"path": "../x.py", "old": "a", "new": "b"}]})),
    )  # fmt: skip
    assert done.patch is None and done.evidence.candidates.passed_failing_tests == 0


def test_a_model_that_loops_is_stopped_and_the_search_ends_as_usual(play: Repair) -> None:
    done = play(*[[("read", {"path": "shop.py"})]] * 30, edits=(sample(WRONG),) * 3)
    assert done.model is not None and done.model.ended == "the model repeated calls whose results it had"
    assert done.iterations == 1 + 3 + 5


def test_the_budget_covers_questions_and_tools_together(play: Repair, settings: Settings, chat_server: Any) -> None:
    tight = settings.model_copy(update={"chat_tokens": 7000})
    done = play(*[[("search", {"query": f"w{n}"})] for n in range(30)], edits=(sample(WRONG),) * 3, settings=tight)
    assert done.model is not None and done.model.prompt_tokens + done.model.completion_tokens <= 7000
    assert "7000 tokens do not suffice for another answer" in done.model.ended and 0 < done.model.steps < 10


def test_a_draft_of_the_model_ends_its_work(play: Repair, chat_server: Any) -> None:
    shop = "import json\nfrom pathlib import Path\n\n\ndef rate():\n"
    shop += '    return json.loads((Path(__file__).parent / "rates.json").read_text())["rate"] + 7 - 7\n'
    files: Files = {
        "shop.py": shop,
        "rates.json": '{\n  "rate": 3\n}\n',
        "tests/test_shop.py": "from shop import rate\n\n\ndef test_rate():\n    assert rate() == 251\n",
    }
    turns: list[dict[str, Any]] = []
    change = {"path": "rates.json", "old": '"rate": 3', "new": '"rate": 251'}
    done = play([("edit", change), ("run_tests", {})], [("read", {"path": "shop.py"})], files=files,
                issue="rate() should be what rates.json says, which must be 251", places=UNKNOWN,
                record=lambda kind, body: turns.append(body) if kind == "turn" else None)  # fmt: skip
    assert done.patch is not None and '+  "rate": 251' in done.patch.diff, done.summary
    assert judge(done.evidence, done.patch).verdict is VerdictKind.DRAFT
    assert done.model is not None and "read" not in done.model.actions
    assert turns[-1]["turn"] == "rest" and turns[-1]["why"] == "the model's change is good for a draft"


def test_auto_chooses_by_its_rules_and_says_why(repair: Repair, settings: Settings) -> None:
    recorded: list[tuple[str, dict[str, Any]]] = []
    rules = settings.model_copy(update={"engine_rules": ("search:under-60s", "hybrid:failing-test")})
    done = repair(EASY, "cheapest() gives the dearest", engine=open_engine(EngineChoice("auto"), rules),
                  record=lambda *entry: recorded.append(entry))  # fmt: skip
    assert done.engine == "hybrid" and done.patch is not None
    assert done.chosen == (
        "Engine hybrid was chosen by the rule `hybrid:failing-test`: a test of the repository fails."
    )
    assert [body for kind, body in recorded if kind == "engine"] == [{"engine": "hybrid", "why": done.chosen}]


def test_auto_without_a_model_is_the_search(repair: Repair, tmp_path: Path) -> None:
    engine = open_engine(EngineChoice("auto"), Settings(home=tmp_path))
    assert isinstance(engine, AutoEngine) and engine.name == "auto" and not engine.any_language
    done = repair(EASY, "cheapest() gives the dearest", engine=engine)
    assert done.engine == "search" and "no chat model is configured" in done.chosen


def test_a_killed_attempt_pays_no_question_twice(
    checkout: Callable[[Files], Any], bubblewrap: Sandbox, settings: Settings, chat_server: Any
) -> None:
    made = checkout(FILES)
    title, _, body = ISSUE.partition("\n")
    context = TaskContext(source="test", commit=made.commit, index_version="1", models=(), locations=())
    samples = {0: sample(WRONG), 1: sample(RIGHT), 2: sample(WRONG)}

    def script(request: Any) -> Any:
        asks_places = "places" in request.schema["properties"]
        return chat_server.reply(PLACE if asks_places else samples[request.seed])

    def run(store: MemoryStore) -> Execution:
        given = AttemptInput(TaskText(title=title, body=body), context, make_plan(title, context, Budget()), made)
        return execute(given, open_engine(EngineChoice("hybrid"), settings), bubblewrap, Callbacks(store=store))

    chat_server.script = script
    undisturbed = MemoryStore()
    expected = run(undisturbed)
    assert expected.patch is not None and expected.model is not None and len(chat_server.requests) == 4
    asks = [number for number, kind in enumerate(undisturbed.kinds) if kind == "ask"]
    last = asks[-1] + 1 + sum(entry.outcome is not None for entry in undisturbed.kept[: asks[-1]])
    for call, paid in ((last, 1), (last + 1, 1), (last + 4, 0)):
        store = MemoryStore(dies_at=call, after=call != last + 1)
        with pytest.raises(Killed):
            run(store)
        store.dies_at, before = None, len(chat_server.requests)
        ended = run(store)
        assert len(chat_server.requests) - before == paid, call
        assert ended.patch == expected.patch and ended.model is not None
        kept = {"steps", "prompt_tokens", "completion_tokens", "actions"}
        assert ended.model.model_dump(include=kept) == expected.model.model_dump(include=kept)
