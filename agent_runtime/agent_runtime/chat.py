"""One chat request from question to answer: conversation, agent, judging. Never raises but when
cancelled, so a chat never answers 500.
"""

import asyncio
import traceback
from dataclasses import dataclass

import structlog

from agent_runtime.agent.failure import STATIC_TEXTS, Failure
from agent_runtime.agent.history import Turn
from agent_runtime.agent.layers import Agent, Answer, Layer
from agent_runtime.sessions.conversations import Conversation, Conversations
from agent_runtime.telemetry.judging import Ending, Judge
from agent_runtime.telemetry.metrics import Metrics, Outcome
from agent_runtime.telemetry.monitor import ActiveSessions, AgentMonitor

log = structlog.get_logger(__name__)

_OUTCOMES = {
    Layer.PRIMARY: Outcome.OK,
    Layer.FALLBACK: Outcome.DEGRADED,
    Layer.STATIC: Outcome.FAILED,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and the conversation it belongs to."""

    answer: Answer
    conversation: Conversation


class ChatService:
    """Serves chat requests concurrently; holds no state of a request."""

    def __init__(
        self,
        agent: Agent,
        conversations: Conversations,
        *,
        judge: Judge,
        metrics: Metrics,
        active_sessions: ActiveSessions,
    ) -> None:
        self._agent = agent
        self._conversations = conversations
        self._judge = judge
        self._metrics = metrics
        self._active_sessions = active_sessions
        self._settling: set[asyncio.Task[None]] = set()

    async def reply(self, message: str, *, session_id: str | None, has_pin: bool) -> Reply:
        """Answer one message, count the request whatever becomes of it."""
        with AgentMonitor(self._metrics, self._active_sessions) as monitor:
            conversation = self._conversations.identify(session_id, has_pin=has_pin)
            with structlog.contextvars.bound_contextvars(session_id=conversation.id.key):
                try:
                    answer = await self._settled(conversation, message, monitor=monitor)
                except asyncio.CancelledError:
                    self._conversations.abandon(conversation)
                    raise
                return Reply(answer, conversation)

    async def _settled(
        self, conversation: Conversation, message: str, *, monitor: AgentMonitor
    ) -> Answer:
        try:
            answer = await self._answer(conversation, message, monitor=monitor)
        except asyncio.CancelledError:
            ending = Ending(Outcome.CANCELLED, monitor.seconds)
            await self._settle(conversation, ending, monitor=monitor)
            raise
        ending = _ending(answer, message, seconds=monitor.seconds)
        await self._settle(conversation, ending, monitor=monitor)
        return answer

    async def _answer(
        self, conversation: Conversation, message: str, *, monitor: AgentMonitor
    ) -> Answer:
        try:
            history = await self._conversations.history(conversation)
            return await self._agent.answer(history, message, monitor=monitor)
        except Exception as error:  # a defect of ours must not become the user's 500
            _log_defect("chat.failed", error)
            monitor.record_fallback("static_fallback", reason=Failure.UNEXPECTED)
            return Answer(STATIC_TEXTS[Failure.UNEXPECTED], Layer.STATIC, chain_length=0)

    async def _settle(
        self, conversation: Conversation, ending: Ending, *, monitor: AgentMonitor
    ) -> None:
        """Count the request even if the client leaves while the session is being written."""
        monitor.finish(chain_length=ending.chain_length, outcome=ending.outcome)
        task = asyncio.create_task(self._count(conversation, ending))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        await asyncio.shield(task)

    async def _count(self, conversation: Conversation, ending: Ending) -> None:
        try:
            await self._judge.settle(conversation, ending)
        except Exception as error:  # the answer is there; losing it would make things worse
            _log_defect("chat.not_counted", error)


def _ending(answer: Answer, message: str, *, seconds: float) -> Ending:
    """Remember what a model answered; a static text is no part of the conversation."""
    turn = None if answer.layer is Layer.STATIC else Turn(message, answer.text)
    return Ending(_OUTCOMES[answer.layer], seconds, answer.chain_length, turn)


def _log_defect(event: str, error: Exception) -> None:
    """Log where it happened but not the message, which may quote what the user wrote."""
    frames = traceback.format_tb(error.__traceback__)
    log.error(event, error=type(error).__name__, frames=frames)
