"""What a chat model does when its server is busy, broken, wrong or hostile, and whom it blames."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from core.chat import (
    BadAnswer,
    ChatUnavailable,
    FinishReason,
    MalformedAnswer,
    Message,
    Refused,
    Role,
    Tool,
    UnknownChatModel,
    find_chat_spec,
    open_chat_spec,
)

HELLO = [Message(Role.USER, "Say hello.")]
both = pytest.mark.parametrize("provider", ["ollama", "openai"])


class Word(BaseModel):
    word: str


TOOL = Tool("say", "Says a word.", Word)


@both
@pytest.mark.parametrize("fault", ["500", "503:0", "429:0", "drop", "garbage"])
def test_a_temporary_fault_is_retried_and_counted(provider: str, fault: str, chat_server: Any) -> None:
    chat_server.faults.append(fault)
    model = open_chat_spec(chat_server.spec(provider))
    assert model.complete(HELLO).text == "Hello."
    assert (model.used.requests, model.used.retries) == (1, 1)


def test_a_pause_that_the_server_requests_is_honoured(chat_server: Any) -> None:
    chat_server.faults.append("429:1")
    began = time.monotonic()
    assert open_chat_spec(chat_server.spec()).complete(HELLO).text == "Hello."
    assert time.monotonic() - began >= 1.0


def test_retries_end_at_the_timeout(chat_server: Any) -> None:
    chat_server.always = "429:2"
    with pytest.raises(ChatUnavailable, match="429"):
        open_chat_spec(chat_server.spec(retries=9)).complete(HELLO, seconds=0.6)
    assert len(chat_server.keys) == 1


@both
@pytest.mark.parametrize("fault", ["500", "drop", "garbage", "huge", "empty", "401", "403", "404", "slow"])
def test_a_permanent_fault_is_unavailable_and_not_a_bad_answer(provider: str, fault: str, chat_server: Any) -> None:
    chat_server.always = fault
    with pytest.raises(ChatUnavailable):
        open_chat_spec(chat_server.spec(provider, timeout=0.4, retries=0)).complete(HELLO)


@both
def test_a_request_that_the_server_rejects_is_not_retried(provider: str, chat_server: Any) -> None:
    chat_server.always = "400"
    with pytest.raises(Refused, match="out of luck") as caught:
        open_chat_spec(chat_server.spec(provider)).complete(HELLO)
    assert isinstance(caught.value, BadAnswer) and len(chat_server.bodies) == 1


def test_a_dead_server_costs_no_time_after_several_failures(chat_server: Any) -> None:
    chat_server.always = "500"
    model = open_chat_spec(chat_server.spec(retries=0))
    for _ in range(6):
        with pytest.raises(ChatUnavailable):
            model.complete(HELLO)
    with pytest.raises(ChatUnavailable, match="several times in a row"):
        model.complete(HELLO)
    assert len(chat_server.bodies) == 5


def test_a_key_is_sent_and_never_in_a_message(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_MODEL_KEY", "sk-very-secret")
    model = open_chat_spec(chat_server.spec(key_variable="SOME_MODEL_KEY"))
    model.complete(HELLO)
    assert chat_server.keys == ["Bearer sk-very-secret"]
    for status, kind in (("401", ChatUnavailable), ("400", Refused)):
        chat_server.faults.append(status)
        with pytest.raises(kind) as caught:
            model.complete(HELLO)
        assert "sk-very-secret" not in str(caught.value) and "***" in str(caught.value)
        assert caught.value.__cause__ is None, "the cause would show it in a traceback"


def test_a_missing_key_names_its_variable(chat_server: Any) -> None:
    with pytest.raises(ChatUnavailable, match="set the environment variable NO_SUCH_KEY"):
        open_chat_spec(chat_server.spec(key_variable="NO_SUCH_KEY")).complete(HELLO)


@both
def test_tokens_cost_their_price(provider: str, chat_server: Any) -> None:
    model = open_chat_spec(chat_server.spec(provider, prompt_price=2.0, completion_price=10.0))
    usage = model.complete(HELLO).usage
    expected = (usage.prompt_tokens * 2.0 + usage.completion_tokens * 10.0) / 1e6
    assert usage.money == pytest.approx(expected) and expected > 0 and not usage.estimated


@both
def test_missing_token_counts_are_estimated_and_marked(provider: str, chat_server: Any) -> None:
    chat_server.always = "uncounted"
    usage = open_chat_spec(chat_server.spec(provider)).complete(HELLO).usage
    assert usage.estimated and usage.prompt_tokens > 5 and usage.completion_tokens > 1


def test_arguments_that_are_not_json_give_a_call_with_its_problem(chat_server: Any) -> None:
    chat_server.script = lambda _: chat_server.reply(
        calls=(("say", '{"word": '), ("say", "[1]"), ("say", {"word": "x"}))
    )
    done = open_chat_spec(chat_server.spec()).complete(HELLO, [TOOL])
    problems = [bool(call.problem) for call in done.calls]
    assert problems == [True, True, False] and done.calls[2].arguments == {"word": "x"}
    assert done.finish is FinishReason.TOOL_CALLS


def test_an_answer_that_violates_the_schema_is_the_models_mistake_and_still_costs(chat_server: Any) -> None:
    chat_server.script = lambda _: chat_server.reply(json.dumps({"word": 3}))
    model = open_chat_spec(chat_server.spec())
    with pytest.raises(MalformedAnswer, match="word") as caught:
        model.complete(HELLO, schema=Word)
    assert caught.value.usage.tokens > 0 and model.used.requests == 1


def test_a_filtered_answer_says_so(chat_server: Any) -> None:
    chat_server.script = lambda _: chat_server.reply("no", filtered=True)
    assert open_chat_spec(chat_server.spec()).complete(HELLO).finish is FinishReason.FILTERED


def test_the_context_size_is_sent_to_ollama(chat_server: Any) -> None:
    open_chat_spec(chat_server.spec("ollama", context_tokens=4096)).complete(HELLO)
    assert chat_server.bodies[0]["options"]["num_ctx"] == 4096


@both
def test_a_temperature_is_sent_unless_it_is_default(provider: str, chat_server: Any) -> None:
    for temperature in (0.5, "default"):
        open_chat_spec(chat_server.spec(provider, temperature=temperature)).complete(HELLO)
    sent = [{**body, **body.get("options", {})}.get("temperature") for body in chat_server.bodies]
    assert sent == [0.5, None]


def test_the_identity_changes_with_the_way_the_model_is_used(chat_server: Any) -> None:
    specs = [chat_server.spec("ollama"), chat_server.spec("ollama", temperature=1.0), chat_server.spec("openai")]
    assert len({open_chat_spec(spec).identity for spec in specs}) == 3


def test_models_are_found_by_description_and_by_short_name(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "chat.toml").write_text(
        'provider = "openai"\nurl = "https://models.example.org/v1"\nmodel = "m"\nprompt_price = 1.5\n'
    )
    assert find_chat_spec("mine", tmp_path).prompt_price == 1.5
    assert find_chat_spec("ollama/qwen3:8b", tmp_path).model == "qwen3:8b"
    with pytest.raises(UnknownChatModel, match="mine"):
        find_chat_spec("../mine", tmp_path)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('url = "https://user:secret@example.org/v1"', "url"),
        ("prompt_price = -1", "prompt_price"),
        ("pric = 1", "pric"),
    ],
)
def test_a_wrong_description_names_file_and_field(line: str, field: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    fields = {"provider": 'provider = "openai"', "model": 'model = "m"', "url": 'url = "https://example.org/v1"'}
    fields[line.split(" ")[0]] = line
    (tmp_path / "mine" / "chat.toml").write_text("\n".join(fields.values()))
    with pytest.raises(UnknownChatModel, match=rf"chat\.toml: {field}") as caught:
        find_chat_spec("mine", tmp_path)
    assert "secret" not in str(caught.value)


class Bounded(BaseModel):
    """Has bounds of lengths, and a field that is called like one."""

    word: str = Field(min_length=2, max_length=4)
    pattern: str = Field(default="", max_length=1000)


def test_length_limits_are_checked_locally_and_not_sent(chat_server: Any) -> None:
    asked: list[Any] = []

    def script(request: Any) -> Any:
        asked.append(request.schema)
        return chat_server.reply('{"word": "abcdefgh", "pattern": "x"}')

    chat_server.script = script
    with pytest.raises(MalformedAnswer, match="word"):
        open_chat_spec(chat_server.spec()).complete(HELLO, schema=Bounded)
    assert "maxLength" not in str(asked[0]) and set(asked[0]["properties"]) == {"word", "pattern"}


def test_tools_in_the_prompt_are_described_briefly(chat_server: Any) -> None:
    chat_server.script = lambda _: chat_server.reply('{"tool": "say", "arguments": {"word": "x"}}')
    done = open_chat_spec(chat_server.spec(native_tools=False)).complete(HELLO, [TOOL])
    assert [(call.name, call.arguments) for call in done.calls] == [("say", {"word": "x"})]
    told = chat_server.requests[0].first("system")
    assert "- say(word): " in told and "properties" not in told
