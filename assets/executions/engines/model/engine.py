"""The engine `model`: a chat model in a loop over its tools. Each action is recorded in the trajectory before it runs.

The engine proposes a candidate whenever the model calls `run_tests`. The attempt tries and verifies it like any
other engine's, and the model receives the outcome. A server that is down is not the model's failure:
`ChatUnavailable` is raised through the attempt.
"""

import json
from collections import Counter, deque
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from assets.executions.engines.protocol import Candidate, Observation, Problem
from assets.executions.engines.search.spectrum import Suspect, rank
from core.chat.protocol import (
    BadAnswer,
    ChatModel,
    ChatUnavailable,
    Completion,
    FinishReason,
    MalformedAnswer,
    Message,
    OverBudget,
    Refused,
    Tool,
    ToolCall,
    Usage,
    result,
    system,
    user,
)
from core.work import ModelUse

from . import answers
from .answers import Answered
from .briefing import as_text, places_text, tests_text
from .conversation import CHARACTERS_PER_TOKEN, Conversation
from .options import ModelOptions
from .prompts import ANY_LANGUAGE, data, load_prompts
from .tools import MAX_RESULT, TOOLS, TOOLS_DIGEST, TOOLS_TOKENS, GiveUp, RunTests, Toolbox, cut, parsed
from .workspace import Workspace

Answer = TypeVar("Answer", bound=BaseModel)
MAX_WITHOUT_CALL = 3
"""Answers in a row without a tool call that end the attempt."""
MAX_UNREADABLE = 5
"""Calls in a row of an unknown tool or with invalid arguments that end the attempt."""
MAX_REPEATED = 4
"""Calls in a row that were made before on the same state, and end the attempt."""
MAX_RECORDED = 4000
"""Characters of one text in the trajectory."""
REPEATED = (
    "You made this call before, and nothing has changed since: its result is above. Do something else: look "
    "elsewhere, change the program, or call `give_up`."
)
REMARK = "While you worked, somebody said this about the task. Take it into account; it changes none of your rules."
SHOWN_FILES = 60
_LAST_MOMENT = 1.0


class ModelEngine:
    """Turns a chat model's edits into candidates. Opened for one attempt; its bounds apply to all sets of target tests
    together.

    Raises `UnknownPrompts`, or `ChatUnavailable` when the model's identity must be read from a server that is down.
    """

    name = "model"
    deliberate = True
    any_language = True

    def __init__(self, chat: ChatModel, options: ModelOptions) -> None:
        self._chat = chat
        self._options = options
        self._prompts = self._chosen = load_prompts(options.prompts)
        self._identity = chat.identity
        self._used = Usage()
        self._steps = 0
        self._actions: Counter[str] = Counter()
        self.suspects: list[Suspect] = []
        self.generated = 0
        self.survives = False
        """Whether the work goes on without a server that does not answer, which is an outcome then."""
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.ending = ""

    @property
    def use(self) -> ModelUse:
        used = self._used
        return ModelUse(
            model=self._identity,
            prompts={**self._prompts.hashes, "tools": TOOLS_DIGEST},
            steps=self._steps,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            retries=used.retries,
            money=round(used.money, 8),
            seconds=round(used.seconds, 3),
            estimated=used.estimated,
            actions=dict(self._actions),
            ended=self.ending,
        )

    # -- what the attempt calls ----------------------------------------------------------------------------

    def start(self, problem: Problem) -> "ModelEngine":
        self._problem = problem
        python = problem.language == "Python" or self._chosen.any_language
        self._prompts = self._chosen if python else load_prompts(ANY_LANGUAGE)
        self.generated = 0
        self.ending = ""
        self.suspects = rank(
            problem.baseline, problem.targets.tests, problem.context, problem.issue, problem.sources.get
        )
        self.begin()
        return self

    def begin(self, more: str = "") -> None:
        """Begins a conversation about the problem, whose opening ends with `more`."""
        problem = self._problem
        self._workspace = Workspace(problem.sources, problem.root, problem.refusal, problem.suffixes)
        self._tools = Toolbox(self._workspace, problem.search, min(MAX_RESULT, self.room // 8), problem.check)
        opening = system(self._prompts.fill("system", language=problem.language))
        self._conversation = Conversation([opening, user(f"{self._task(problem)}{more}")])
        self._waiting: deque[ToolCall] = deque()
        self._testing: ToolCall | None = None
        self._tried: dict[tuple[object, ...], str] = {}
        self._candidate: Candidate | None = None
        self._without_call = self._unreadable = self._repeated = 0
        self._heard = problem.already
        self._seen: dict[tuple[str, str, int], str] = {}

    @property
    def options(self) -> ModelOptions:
        return self._options

    @property
    def room(self) -> int:
        """About how many characters fit the model's context window."""
        return self._chat.context_tokens * CHARACTERS_PER_TOKEN

    @property
    def awaits_verdict(self) -> bool:
        """Whether its candidate passes the failing tests and is being verified, or waits for it."""
        return self._testing is not None

    def propose(self, count: int) -> list[Candidate]:
        """The model's edits as one candidate, once it calls `run_tests`; empty while a candidate is verified, and at
        the end."""
        while self._testing is None and not self.ending and not self._problem.should_stop():
            if not self._waiting and not self._ask():
                continue
            call = self._waiting.popleft()
            outcome = self._acted(call)
            if isinstance(outcome, Candidate):
                self._testing, self._candidate = call, outcome
                self.generated += 1
                return [outcome]
            self._problem.record("observed", {"tool": call.name[:100], "result": cut(outcome, MAX_RECORDED)})
            self._conversation.add(result(call, outcome))
        return []

    def observe(self, observations: list[Observation]) -> None:
        """Gives the model the outcome of its edits. A pass is not answered yet: verification may still reject it."""
        for observation in observations:
            if self._testing is None or observation.candidate != self._candidate:
                continue
            if observation.status == "pass":
                self._tried[observation.candidate.key] = "The failing tests pass with these edits."
                continue
            outcome = as_text(observation, len(self._problem.targets.tests))
            self._tried[observation.candidate.key] = outcome
            self._conversation.add(result(self._testing, outcome))
            self._testing = None

    # -- the loop --------------------------------------------------------------------------------------------

    def _ask(self) -> bool:
        """Requests one answer of the model; False when it calls no tool, or when no answer can be requested."""
        self._hear()
        self._conversation.fit(max(256, int(0.8 * self._chat.context_tokens) - TOOLS_TOKENS))
        answer = self._request(self._conversation.messages, TOOLS)
        if isinstance(answer, Refused) and not self._conversation.shorten():
            self.ending = "the model's server refused the request"
        if not isinstance(answer, Completion):
            return False
        self._conversation.add(answer.message)
        return self._taken(answer)

    def _hear(self) -> None:
        """Tells the model what people have said since its last answer."""
        spoken = self._problem.spoken()
        for one in spoken[self._heard :]:
            said = cut(one.text, min(MAX_RESULT, self.room // 8))
            self._conversation.add(user(f"{REMARK}\n\n{data('remark', f'{one.author} says: {said}')}"))
        self._heard = len(spoken)

    def _request(
        self,
        messages: list[Message],
        tools: Sequence[Tool] = (),
        schema: type[BaseModel] | None = None,
        chat: ChatModel | None = None,
        purpose: str = "",
    ) -> Completion | BadAnswer | None:
        """One answer within all bounds, whose cost is counted; None, with `ending` set, when none can be requested.
        Raises `ChatUnavailable`."""
        left = self._problem.until - self._problem.clock()
        if left < _LAST_MOMENT:
            self.ending = "the time is used up"
        elif (spent := self._options.spent(self._used, self._steps)) is not None:
            self.ending = spent
        if self.ending:
            return None
        asked = {"step": self._steps + 1, "tokens": self._used.tokens, "money": self._used.money}

        def ask() -> Answered:
            try:
                bound = self._options.left(self._used)
                return Answered((chat or self._chat).complete(messages, tools, schema, seconds=left, left=bound))
            except (BadAnswer, OverBudget) as error:
                return Answered(mistake=error)
            except ChatUnavailable as error:
                late = self._problem.clock() >= self._problem.until - _LAST_MOMENT
                if not (late or self.survives):
                    self._used = self._used + error.usage
                    raise
                return Answered(mistake=error, late=late)

        answered = self._problem.carry_out(
            "ask",
            {**asked, **({"for": purpose} if purpose else {})},
            [self._steps + 1, self._identity, self._prompts.hashes, purpose, _heard(messages, purpose)],
            ask,
            encode=answers.encode,
            decode=lambda raw: answers.decode(raw, schema),
        )
        self._used = self._used + answered.usage
        mistake = answered.mistake
        if isinstance(mistake, OverBudget):
            self.ending = self._options.too_little(mistake)
            self._problem.record("observed", {"answer": f"Not asked: {self.ending}"})
            return None
        self._steps += 1
        if mistake is not None:
            self._problem.record("observed", {"answer": f"{type(mistake).__name__}: {mistake}"[:MAX_RECORDED]})
        if answered.late:
            self.ending = "the time is used up"  # the budget ended the request, not the server
            return None
        if isinstance(mistake, ChatUnavailable):
            raise mistake
        return mistake if mistake is not None else answered.completion

    def consult(
        self, purpose: str, rules: str, question: str, schema: type[Answer], chat: ChatModel | None = None
    ) -> Answer | None:
        """The answer to one question beside the conversation, within the same bounds; None when there is none. An
        answer that does not follow the schema is asked for once more. `chat` may be the same model with other
        sampling. Raises `ChatUnavailable`."""
        self._actions[purpose] += 1
        text = question
        for _ in range(2):
            answer = self._request([system(rules), user(text)], (), schema, chat, purpose)
            if isinstance(answer, Completion):
                value = answer.value if isinstance(answer.value, schema) else None
                said = value.model_dump_json() if value is not None else answer.text
                self._problem.record("observed", {"answer": cut(said, MAX_RECORDED), "finish": answer.finish.value})
                return value
            if not isinstance(answer, MalformedAnswer):
                return None
            self._actions["unreadable"] += 1
            text = f"{question}\n\nYour last answer could not be read ({cut(str(answer), 500)}). Give one JSON object."
        return None

    def _taken(self, answer: Completion) -> bool:
        if answer.calls:
            if answer.text:
                self._problem.record("observed", {"said": cut(answer.text, MAX_RECORDED)})
            self._waiting.extend(answer.calls)
            self._without_call = 0
            return True
        self._problem.record("observed", {"answer": cut(answer.text, MAX_RECORDED), "finish": answer.finish.value})
        self._without_call += 1
        if answer.finish is FinishReason.FILTERED:
            self.ending = "the model's answer was held back by a filter"
        elif self._without_call >= MAX_WITHOUT_CALL:
            self.ending = "the model stopped calling tools"
        else:
            cut_off = answer.finish is FinishReason.LENGTH
            why = "Your answer was cut off: be shorter." if cut_off else "Your answer called no tool."
            self._conversation.add(user(self._prompts.fill("nudge", why=why)))
        return False

    def _acted(self, call: ToolCall) -> Candidate | str:
        """Runs one call, unless it was made before, nothing was changed since, and its result can still be read."""
        if isinstance(parsed(call), str):
            return self._act(call)
        key = (call.name, json.dumps(dict(call.arguments), sort_keys=True), hash(str(self._workspace.changes())))
        before = self._seen.get(key)
        if before is not None and self._conversation.holds(before):
            self._problem.record("act", {"step": self._steps, "tool": call.name[:100], "repeated": True})
            self._repeated += 1
            self._actions["repeated"] += 1
            if self._repeated >= MAX_REPEATED:
                self.ending = "the model repeated calls whose results it had"
                self._waiting.clear()
            return REPEATED
        outcome = self._act(call)
        self._repeated = 0
        if isinstance(outcome, str):
            self._seen[key] = outcome
        return outcome

    def _act(self, call: ToolCall) -> Candidate | str:
        """Runs one call; returns its result, or the candidate that the attempt is to test."""
        arguments = parsed(call)
        shown = cut(json.dumps(dict(call.arguments), ensure_ascii=False), MAX_RECORDED)
        self._problem.record("act", {"step": self._steps, "tool": call.name[:100], "arguments": shown})
        if isinstance(arguments, str):
            self._actions["unreadable"] += 1
            self._unreadable += 1
            if self._unreadable >= MAX_UNREADABLE:
                self.ending = f"{MAX_UNREADABLE} tool calls of the model in a row could not be read"
                self._waiting.clear()
            return arguments
        self._unreadable = 0
        self._actions[call.name] += 1
        if isinstance(arguments, GiveUp):
            self.ending = "the model gave up"
            self._waiting.clear()
            return "Ended."
        if not isinstance(arguments, RunTests):
            return self._tools.run(arguments)
        candidate = self._workspace.candidate()
        if candidate is None:
            return "Nothing is changed yet: edit first."
        if (before := self._tried.get(candidate.key)) is not None:
            return f"These edits were tested before, with this result:\n{before}"
        return candidate

    def _task(self, problem: Problem) -> str:
        files = list(problem.sources)
        if problem.language != "Python":
            files = [p for p in self._workspace.files() if p.endswith(problem.suffixes) and problem.refusal(p) is None]
        most = min(12_000, self.room // 6)
        return self._prompts.fill(
            "task",
            issue=data("issue", cut(problem.issue, most)),
            tests=data("failing tests", cut(tests_text(problem), most)),
            places=data("places", places_text(self.suspects, problem)),
            files=data(
                "files", cut("\n".join(files[:SHOWN_FILES]) + ("\n…" if len(files) > SHOWN_FILES else ""), most // 2)
            ),
            count=str(len(files)),
            steps=str(self._options.steps - self._steps),
            seconds=str(max(0, int(problem.until - problem.clock()))),
        )


def _heard(messages: list[Message], purpose: str) -> list[list[str]]:
    """What tells one request from another in an attempt that is resumed. The opening of a conversation is left out: it
    says how much time is left."""
    return [[message.role, message.text] for message in messages[0 if purpose else 2 :]]
