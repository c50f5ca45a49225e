"""Questions that many requests ask at once, answered together: what arrives while one batch is being answered makes up
the next one. An answer is never older than its question, since no batch begins before its questions were asked."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

MOST = 64

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")


class Batches(Generic[QuestionT, AnswerT]):
    """`answer` gives one answer for each question, in order, and runs in another thread. What it raises, all raise."""

    def __init__(self, answer: Callable[[Sequence[QuestionT]], Sequence[AnswerT]]) -> None:
        self._answer = answer
        self._asked: list[tuple[QuestionT, asyncio.Future[AnswerT]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: QuestionT) -> AnswerT:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[AnswerT] = loop.create_future()
        self._asked.append((question, future))
        if self._working is None or self._working.done() or self._working.get_loop() is not loop:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:MOST], self._asked[MOST:]
            try:
                answers = await run_in_threadpool(self._answer, [question for question, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), found in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(found)
