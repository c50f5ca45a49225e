"""What requests to a chat model may cost: nothing is sent that could pass what is left, and failed tries count."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import ChatSpec, ChatUnavailable, Left, Message, OverBudget, Role, Tool, Usage, open_chat_spec
from core.chat.conformance import ADD
from core.chat.cost import LEAST_ANSWER, Costs

HELLO = [Message(Role.USER, "Say hello.")]
PLENTY = Left(1 << 30, 1e6)


def spec_of(**values: Any) -> ChatSpec:
    return ChatSpec.model_validate(
        {"name": "m", "provider": "openai", "url": "http://127.0.0.1:1/v1", "model": "m", **values}
    )


@pytest.mark.parametrize(("left", "bound"), [(Left(200, 1.0), "tokens"), (Left(10_000, 1e-7), "money")])
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("tools", [(), (ADD,)])
def test_a_request_that_could_pass_what_is_left_is_not_sent(
    left: Left, bound: str, native: bool, tools: tuple[Tool, ...], chat_server: Any
) -> None:
    model = open_chat_spec(chat_server.spec(completion_price=1.0, native_tools=native))
    with pytest.raises(OverBudget) as caught:
        model.complete(HELLO, tools, left=left)
    assert caught.value.bound == bound and not chat_server.bodies and model.used == Usage()


def test_the_limit_of_an_answer_shrinks_to_what_is_left(chat_server: Any) -> None:
    model = open_chat_spec(chat_server.spec(completion_price=1.0))
    model.complete(HELLO, left=Left(600, 1.0))
    model.complete(HELLO, left=Left(10_000, 400 / 1e6))
    model.complete(HELLO, left=PLENTY)
    most = [body["max_tokens"] for body in chat_server.bodies]
    assert LEAST_ANSWER <= most[0] < 600 and LEAST_ANSWER <= most[1] <= 400 and most[2] == 2048


def test_repeats_end_before_they_could_pass_what_is_left(chat_server: Any) -> None:
    chat_server.always = "500"
    model = open_chat_spec(chat_server.spec(answer_tokens=300, retries=4))
    with pytest.raises(ChatUnavailable) as caught:
        model.complete(HELLO, left=Left(1000, 1.0))
    assert len(chat_server.bodies) == 3
    assert 900 < caught.value.usage.tokens <= 1000 and model.used.tokens == caught.value.usage.tokens


@pytest.mark.parametrize(("fault", "counted"), [("500", True), ("garbage", True), ("503:0", False), ("429:0", False)])
def test_a_failed_try_counts_where_the_server_may_have_worked(fault: str, counted: bool, chat_server: Any) -> None:
    plain = open_chat_spec(chat_server.spec()).complete(HELLO).usage
    chat_server.faults.append(fault)
    usage = open_chat_spec(chat_server.spec(answer_tokens=300)).complete(HELLO).usage
    assert usage.retries == 1 and (usage.tokens > plain.tokens + 300) is counted and usage.estimated is counted


@pytest.mark.parametrize("fault", ["empty", "huge"])
def test_what_is_no_answer_counts(fault: str, chat_server: Any) -> None:
    chat_server.always = fault
    model = open_chat_spec(chat_server.spec(answer_tokens=300, retries=0))
    with pytest.raises(ChatUnavailable) as caught:
        model.complete(HELLO)
    assert caught.value.usage.tokens > 300 and model.used.tokens == caught.value.usage.tokens


def test_a_server_that_is_not_there_costs_nothing() -> None:
    model = open_chat_spec(spec_of(retries=0))
    with pytest.raises(ChatUnavailable) as caught:
        model.complete(HELLO)
    assert caught.value.usage.tokens == 0


def test_the_estimate_grows_with_what_the_server_counts() -> None:
    costs = Costs(spec_of())
    assert costs.prompt(6000) == 2001
    costs.learn(6000, 3000)
    costs.learn(6000, 100)
    costs.learn(30, 1000)
    assert costs.prompt(6000) == 3001
    costs.learn(6000, 1 << 40)
    assert costs.prompt(6000) <= 12_001


@given(
    st.integers(0, 50_000), st.integers(1, 5_000), st.integers(0, 9), st.integers(0, 200_000),
    st.floats(0, 1), st.floats(0, 100), st.floats(0, 100),
)  # fmt: skip
def test_all_tries_together_stay_within_what_is_left(
    prompt: int, answer: int, retries: int, tokens: int, money: float, price: float, answer_price: float
) -> None:
    costs, left = Costs(spec_of(prompt_price=price, completion_price=answer_price)), Left(tokens, money)
    try:
        limit, repeats = costs.within(left, prompt, answer, retries)
    except OverBudget:
        least = min(answer, LEAST_ANSWER)
        assert prompt + least > tokens or costs.money(prompt, least) > money
        return
    assert 1 <= limit <= answer and 0 <= repeats <= retries
    assert (prompt + limit) * (repeats + 1) <= tokens
    assert costs.money(prompt, limit) * (repeats + 1) <= money * (1 + 1e-9) + 1e-12


def test_text_that_is_not_ascii_counts_by_its_bytes(chat_server: Any) -> None:
    model = open_chat_spec(chat_server.spec())
    with pytest.raises(OverBudget):
        model.complete([Message(Role.USER, "字" * 1000)], left=Left(1000, 1.0))
    assert json.dumps(chat_server.bodies) == "[]"
