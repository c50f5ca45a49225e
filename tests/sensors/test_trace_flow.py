"""One trace from a signed webhook to the published result, by a real gateway, log, sensor, run, sandbox and engine with
a model on a scripted server; and what the run leaves in the metrics."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, SensorResult, build_sensor_context, materialize
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from starlette.testclient import TestClient

from assets.attempt_run import TRACE_TAG
from assets.context.assets import task_context
from assets.context.source.sources import add_source
from assets.executions.assets import execution
from assets.plans.assets import plan
from assets.platform import Platform
from assets.results.assets import result
from core import tracing
from core.attempts import Attempt
from core.credentials import ensure_secrets
from core.events import DEFAULT_TEAM, TASKS
from core.settings import Settings
from core.signatures import sign_standard
from gateway.app import create_app
from sensors.tasks import reconciler, task_sensor
from tests.otlp_receiver import OtlpReceiver, Received

SOURCE = "def page_count(items, size):\n    return items // size\n"
TESTS = "from catalogue import page_count\n\n\ndef test_rest():\n    assert page_count(21, 10) == 3\n"
CALLS = (
    (("search", {"query": "page_count"}),),
    (("edit", {"path": "catalogue.py", "old": "items // size", "new": "-(-items // size)"}), ("run_tests", {})),
    (("give_up", {}),),
)
TITLE = "The last page is missing"
WORDS = "page_count(21, 10) says 2, xylophone."
KEY = "sk-a-very-secret-key"


class Flow:
    def __init__(self, platform: Platform, client: TestClient, secret: str, token: str) -> None:
        self.platform, self.client, self.secret = platform, client, secret
        self.headers = {"Authorization": f"Bearer {token}"}
        self.instance = DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("sources", ["shop"])

    def send(self) -> uuid.UUID:
        payload = {"type": "task.requested", "data": {"source": "shop", "title": TITLE, "body": WORDS}}
        body, name, at = json.dumps(payload).encode(), f"msg_{uuid.uuid4().hex}", int(time.time())
        answer = self.client.post(
            "/webhooks/generic",
            content=body,
            headers={
                "Content-Type": "application/json",
                "webhook-id": name,
                "webhook-timestamp": str(at),
                "webhook-signature": sign_standard(self.secret, name, at, body),
                "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
            },
        )
        assert answer.status_code == 202, answer.text
        return uuid.UUID(answer.json()["task"])

    def launch(self, sensor: Any = task_sensor) -> dict[str, str]:
        """The tags of the one run that a sensor asks for."""
        found = sensor(build_sensor_context(instance=self.instance), platform=self.platform)
        assert isinstance(found, SensorResult), found
        [request] = found.run_requests or []
        return dict(request.tags)

    def run(self, tags: dict[str, str]) -> Any:
        return materialize(
            [task_context, plan, execution, result],
            instance=self.instance,
            partition_key="shop",
            tags=tags,
            resources={"platform": self.platform},
        )

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        text = self.client.get("/metrics", headers=self.headers).text
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def flow(
    database_url: str, tmp_path: Path, sandbox: Any, chat_server: Any, receiver: OtlpReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Flow]:  # fmt: skip
    chat_server.script = lambda asked: chat_server.reply(calls=CALLS[min(asked.answers, 2)])
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "catalogue.py").write_text(SOURCE)
    (repo / "test_catalogue.py").write_text(TESTS)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "A start"]):
        subprocess.run(["git", "-C", str(repo), *arguments], env=environment, check=True, timeout=600)
    described = tmp_path / "models" / "mine"
    described.mkdir(parents=True)
    (described / "chat.toml").write_text(
        f'provider = "openai"\nurl = "{chat_server.url}/v1"\nmodel = "scripted"\nkey_variable = "MINE_KEY"\n'
        "retries = 0\nprompt_price = 3.0\n"
    )
    monkeypatch.setenv("MINE_KEY", KEY)
    monkeypatch.setenv("PENSTOCK_MODELS", str(tmp_path / "models"))
    settings = Settings(
        home=tmp_path / "home",
        embedding_model="hashing",
        allowed_roots=(tmp_path,),
        engine="model",
        chat_model="mine",
        traces_endpoint=receiver.endpoint,
        metrics_seconds=0,
        metrics_token=SecretStr("a token for metrics"),
    )
    platform = Platform(settings, database_url)
    add_source(platform.database, DEFAULT_TEAM, "shop", str(repo), roots=settings.roots)
    credentials = ensure_secrets(settings, platform.database)
    with TestClient(create_app(settings, platform.database, credentials)) as client:
        made = Flow(platform, client, credentials.generic_secrets[0], credentials.api_token)
        yield made
        made.instance.dispose()
    platform.reader.close()
    platform.close()


def _below(spans: list[Received], name: str, root: Received) -> list[Received]:
    """The spans of a name whose chain of parents ends at `root`."""
    known = {one.span: one for one in spans}

    def first(one: Received) -> Received:
        while one.parent in known:
            one = known[one.parent]
        return one

    return [one for one in spans if one.name == name and first(one) is root]


def test_one_trace_leads_from_the_webhook_to_the_published_result(flow: Flow, receiver: OtlpReceiver) -> None:
    task = flow.send()
    tags = flow.launch()
    assert flow.run(tags).success
    tracing.flush(30)
    spans = receiver.wait(lambda found: any(one.name == "POST webhooks" for one in found))
    [root] = [one for one in spans if one.name == "POST webhooks"]
    assert (root.parent, root.attributes["http.response.status_code"]) == ("", 202)
    assert root.trace != "a" * 32, "a sender must not choose the trace"
    for name in (
        "intake",
        f"{TASKS} publish",
        f"{TASKS} receive",
        "launch attempt",
        *("stage task_context", "stage plan", "stage execution", "stage result"),
        *("sandbox open", "sandbox process", "chat scripted", "publish"),
    ):
        assert _below(spans, name, root), (name, sorted({one.name for one in spans}))
    [stage] = _below(spans, "stage execution", root)
    assert {"trajectory ask", "trajectory act", "trajectory judge"} <= set(stage.events), stage.events
    [launch] = _below(spans, "launch attempt", root)
    assert stage.parent == launch.span and stage.attributes["penstock.task"] == str(task)
    chat = _below(spans, "chat scripted", root)[0]
    assert chat.attributes["gen_ai.usage.input_tokens"] > 0 and chat.parent == stage.span
    [published] = _below(spans, "publish", root)
    assert published.attributes["penstock.publication.state"] == "published"

    with_root = {one.trace for one in spans if one.name.startswith(("sandbox", "chat", "publish", "stage", "deliver"))}
    assert with_root == {root.trace}, "also what other threads of the run do"

    everything = b"".join(receiver.raw).decode("utf-8", "replace")
    for secret in (KEY, "xylophone", TITLE, flow.secret, flow.headers["Authorization"].split()[1]):
        assert secret not in everything
    assert all(len(str(v)) <= tracing.ATTRIBUTE_CHARACTERS for one in spans for v in one.attributes.values())

    found = flow.metrics()
    assert found["penstock_attempts_total", (("outcome", "resolved"),)] == 1
    assert found["penstock_event_to_result_seconds_count", ()] == 1
    assert found["penstock_event_to_result_seconds_bucket", (("le", "+Inf"),)] == 1
    assert found["penstock_model_requests_total", (("model", "mine"),)] == 2
    assert found["penstock_model_prompt_tokens_total", (("model", "mine"),)] > 0
    assert found["penstock_model_cost_money_total", (("model", "mine"),)] > 0
    backend = flow.platform.sandbox.name
    assert found["penstock_sandbox_sessions_total", (("backend", backend),)] >= 1
    assert found["penstock_sandbox_commands_total", (("backend", backend),)] >= 1
    assert found["penstock_publications", (("state", "published"),)] == 1


def test_a_retry_and_a_resumed_attempt_link_to_what_was_before(flow: Flow, receiver: OtlpReceiver) -> None:
    task = flow.send()
    first = flow.launch()
    with tracing.span("stage of a run that is killed", parent=None) as killed:
        Attempt.claim(
            flow.platform.database, DEFAULT_TEAM, task, 1, holder="killed", seconds=0.0, max_claims=5
        )  # fmt: skip
    again = flow.launch(reconciler)
    with tracing.span("stage of the run after it"):
        resumed = Attempt.claim(
            flow.platform.database, DEFAULT_TEAM, task, 1, holder="next", seconds=60.0, max_claims=5
        )
    assert killed.context is not None and resumed.resumes is not None
    assert resumed.resumes.parent == killed.context.parent
    assert again[TRACE_TAG] != first[TRACE_TAG] and again[TRACE_TAG][3:35] == first[TRACE_TAG][3:35]
    assert flow.client.post(f"/tasks/{task}/cancel", headers=flow.headers).status_code == 200
    assert flow.client.post(f"/tasks/{task}/retry", headers=flow.headers).status_code in (200, 202)
    retried = flow.launch()
    assert retried[TRACE_TAG][3:35] != first[TRACE_TAG][3:35], "a request by a person is a trace of its own"
    assert flow.run(retried).success
    tracing.flush(30)
    spans = receiver.wait(lambda found: any(one.name == "stage result" for one in found))
    [relaunch] = [one for one in spans if one.name == "launch attempt" and one.links]
    assert relaunch.links == ((killed.context.trace_id, killed.context.span_id),)
    [stage] = [one for one in spans if one.name == "stage task_context"]
    assert stage.trace == retried[TRACE_TAG][3:35]
    assert [trace for trace, _ in stage.links] == [first[TRACE_TAG][3:35]]


def test_a_collector_that_is_down_delays_nothing_and_nothing_is_sent_without_one(
    flow: Flow, receiver: OtlpReceiver
) -> None:
    receiver.always = "503"
    assert flow.run((flow.send(), flow.launch())[1]).success
    assert not receiver.spans
    tracing.use(Settings(home=flow.platform.settings.home), "penstock-test")
    assert not tracing.is_on() and tracing.current() is None
    flow.send()
    assert TRACE_TAG not in flow.launch()
