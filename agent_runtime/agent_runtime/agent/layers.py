"""Who answers: primary model, then fallback model, then a text that says what happened.

Nothing here raises towards the caller but cancellation: the last layer always answers.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent_runtime.agent.failure import STATIC_TEXTS, Failure, failure_of
from agent_runtime.agent.history import Turn, call_messages
from agent_runtime.agent.provider import ChatModel, Completion
from agent_runtime.agent.retry import Clock, call_with_retries
from agent_runtime.telemetry.monitor import AgentMonitor

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam


class Layer(StrEnum):
    """Which layer answered."""

    PRIMARY = "primary"
    FALLBACK = "fallback"
    STATIC = "static"


@dataclass(frozen=True, slots=True)
class Answer:
    """Text for the user; `chain_length` counts the LLM calls that gave an answer, not retries."""

    text: str
    layer: Layer
    chain_length: int


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """Bounds of one request, in seconds and tokens."""

    deadline_seconds: float
    llm_timeout_seconds: float
    history_max_tokens: int


class Agent:
    """Answers one message of a conversation."""

    def __init__(
        self, models: list[ChatModel], *, system_prompt: str, limits: AgentLimits, clock: Clock
    ) -> None:
        self._models = models
        self._system_prompt = system_prompt
        self._limits = limits
        self._clock = clock

    async def answer(self, history: list[Turn], message: str, *, monitor: AgentMonitor) -> Answer:
        """Ask the models in order, each until its share of the deadline; else answer statically."""
        messages = call_messages(
            self._system_prompt,
            history,
            message=message,
            max_history_tokens=self._limits.history_max_tokens,
        )
        started = self._clock.now()
        failure = Failure.UNEXPECTED
        for position, model in enumerate(self._models):
            if position > 0:
                monitor.record_fallback("model_fallback", reason=failure)
            deadline = started + self._seconds_until_next_layer(position)
            try:
                completion = await self._ask(model, messages, deadline=deadline, monitor=monitor)
            except Exception as error:  # whatever happens to a model, the next layer answers
                failure = failure_of(error)
            else:
                layer = Layer.PRIMARY if position == 0 else Layer.FALLBACK
                return Answer(completion.text, layer, chain_length=1)
        monitor.record_fallback("static_fallback", reason=failure)
        return Answer(STATIC_TEXTS[failure], Layer.STATIC, chain_length=0)

    def _seconds_until_next_layer(self, position: int) -> float:
        """Keep one call's time (at most a quarter of the whole) free for each later model."""
        whole = self._limits.deadline_seconds
        later_models = len(self._models) - 1 - position
        return whole - later_models * min(self._limits.llm_timeout_seconds, whole / 4)

    async def _ask(
        self,
        model: ChatModel,
        messages: "list[ChatCompletionMessageParam]",
        *,
        deadline: float,
        monitor: AgentMonitor,
    ) -> Completion:
        async def call() -> Completion:
            left = max(0.0, deadline - self._clock.now())
            with monitor.llm_call(model.name) as record:
                completion = await model.complete(
                    messages, timeout_seconds=min(left, self._limits.llm_timeout_seconds)
                )
                record.tokens(completion.input_tokens, completion.output_tokens)
            return completion

        return await call_with_retries(call, deadline=deadline, clock=self._clock)
