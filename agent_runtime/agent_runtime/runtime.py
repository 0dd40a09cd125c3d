"""Puts the parts together; the only place that knows all of them."""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from agent_runtime.agent.layers import Agent, AgentLimits
from agent_runtime.agent.prompt import load_prompt
from agent_runtime.agent.provider import ChatModel, chat_models
from agent_runtime.agent.retry import SYSTEM_CLOCK, Clock
from agent_runtime.chat import ChatService
from agent_runtime.errors import StoreUnavailableError
from agent_runtime.policy import Policy, PolicyFile
from agent_runtime.sessions.conversations import Conversations
from agent_runtime.sessions.ids import load_session_keys
from agent_runtime.sessions.memory import InProcessStore
from agent_runtime.sessions.open import OpenSessions
from agent_runtime.sessions.redis_store import RedisStore
from agent_runtime.sessions.store import SessionStore
from agent_runtime.settings import Settings
from agent_runtime.telemetry.judging import Judge
from agent_runtime.telemetry.metrics import Metrics
from agent_runtime.telemetry.monitor import ActiveSessions
from agent_runtime.web.readiness import Readiness

STORE_PROBE_SECONDS = 0.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """All parts of one process."""

    settings: Settings
    policy: PolicyFile
    metrics: Metrics
    store: SessionStore
    conversations: Conversations
    judge: Judge
    models: list[ChatModel]
    service: ChatService
    active_sessions: ActiveSessions
    readiness: Readiness = field(default_factory=Readiness)
    started: float = field(default_factory=time.monotonic)

    async def initialize(self) -> None:
        """Become ready once the session store was reached."""
        is_waiting = False
        while True:
            try:
                await self.store.ping()
            except StoreUnavailableError as error:
                if not is_waiting:
                    log.warning("session_store.not_reached", error=str(error))
                is_waiting = True
                await asyncio.sleep(STORE_PROBE_SECONDS)
            else:
                self.readiness.is_initialized = True
                log.info("runtime.ready")
                return

    async def close(self) -> None:
        """Close the connections to providers and store."""
        for model in self.models:
            await model.close()
        await self.store.close()


def build_runtime(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Runtime:
    """Read the mounted files and wire everything; raises InvalidContentError."""
    policy = PolicyFile(
        settings.agent.policy_file,
        Policy(max_session_seconds=settings.agent.max_session_seconds),
    )
    policy.reload()
    models = chat_models(settings.model)
    open_sessions = OpenSessions(idle_seconds=settings.agent.session_idle_seconds)
    active_sessions = ActiveSessions()
    metrics = Metrics(
        models=[model.name for model in models],
        active_sessions=active_sessions.__len__,
        open_sessions=open_sessions.__len__,
    )
    store = _session_store(settings)
    conversations = Conversations(
        load_session_keys(settings.agent.session_keys_file),
        store,
        open_sessions=open_sessions,
        stand_in=InProcessStore(idle_seconds=settings.agent.session_idle_seconds),
        idle_seconds=settings.agent.session_idle_seconds,
    )
    judge = Judge(
        metrics,
        conversations,
        policy=lambda: policy.current,
        revision=settings.identity.revision,
    )
    service = ChatService(
        _agent(settings, models, clock=clock),
        conversations,
        judge=judge,
        metrics=metrics,
        active_sessions=active_sessions,
    )
    return Runtime(
        settings=settings,
        policy=policy,
        metrics=metrics,
        store=store,
        conversations=conversations,
        judge=judge,
        models=models,
        service=service,
        active_sessions=active_sessions,
    )


def _agent(settings: Settings, models: list[ChatModel], *, clock: Clock) -> Agent:
    limits = AgentLimits(
        deadline_seconds=settings.agent.request_deadline_seconds,
        llm_timeout_seconds=settings.model.timeout_seconds,
        history_max_tokens=settings.agent.history_max_tokens,
    )
    prompt = load_prompt(settings.agent.prompt_dir)
    return Agent(models, system_prompt=prompt, limits=limits, clock=clock)


def _session_store(settings: Settings) -> SessionStore:
    idle_seconds = settings.agent.session_idle_seconds
    if settings.infra.redis_url is None:
        log.warning("session_store.in_process", consequence="other pods do not know the sessions")
        return InProcessStore(idle_seconds=idle_seconds)
    identity = settings.identity
    return RedisStore(
        settings.infra.redis_url.get_secret_value(),
        agent=f"{identity.pod_namespace}/{identity.agent_name}",
        idle_seconds=idle_seconds,
    )
