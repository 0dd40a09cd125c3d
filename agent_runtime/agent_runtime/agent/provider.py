"""One model of one provider, reached over the OpenAI chat-completions protocol; never retries."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openai import APIConnectionError, AsyncOpenAI

from agent_runtime.agent.bounded_client import BoundedClient
from agent_runtime.errors import UnusableAnswerError
from agent_runtime.settings import ModelConfig

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

# In UTF-8; a session keeps it, turn by turn.
MAX_ANSWER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Completion:
    """What one call gave; token counts are 0 where the provider reports no usage."""

    text: str
    input_tokens: int
    output_tokens: int


class ChatModel:
    """A pinned model behind one base URL."""

    def __init__(self, name: str, client: AsyncOpenAI, config: ModelConfig) -> None:
        self.name = name
        self._client = client
        self._temperature = config.temperature
        self._max_tokens = config.max_tokens

    async def complete(
        self, messages: "list[ChatCompletionMessageParam]", *, timeout_seconds: float
    ) -> Completion:
        """Ask once; raise openai errors, TimeoutError when the whole call took too long, or
        UnusableAnswerError for an answer without text or of a size that is none.
        """
        # The SDK's timeout starts anew with every chunk read; this one bounds the whole call.
        async with asyncio.timeout(timeout_seconds):
            try:
                response = await self._client.chat.completions.create(
                    model=self.name,
                    messages=messages,
                    temperature=self._temperature,
                    max_completion_tokens=self._max_tokens,
                    timeout=timeout_seconds,
                )
            except APIConnectionError as error:
                if isinstance(error.__cause__, UnusableAnswerError):
                    raise error.__cause__ from None  # the SDK takes it for a broken connection
                raise
        return _completion(response)

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._client.close()


def _completion(response: "ChatCompletion") -> Completion:
    text = response.choices[0].message.content if response.choices else None
    if not text:
        raise UnusableAnswerError("the provider answered without text")
    if _bytes(text) > MAX_ANSWER_BYTES:
        raise UnusableAnswerError(f"the text is larger than {MAX_ANSWER_BYTES} bytes")
    usage = response.usage
    return Completion(
        text=text,
        input_tokens=_count(usage.prompt_tokens if usage else 0),
        output_tokens=_count(usage.completion_tokens if usage else 0),
    )


def _bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # JSON can spell half a character, an answer of ours cannot
        raise UnusableAnswerError("the provider answered with broken text") from None


def _count(tokens: object) -> int:
    """Take a provider's number for what it is: nobody has validated it."""
    return tokens if isinstance(tokens, int) and tokens > 0 else 0


NO_KEY = "none"  # the SDK insists on one; only servers that need none get it


def chat_models(config: ModelConfig) -> list[ChatModel]:
    """Build the models in the order they are asked: the primary, then the fallback if any."""
    key = config.api_key.get_secret_value() if config.api_key else NO_KEY
    base_url = str(config.base_url) if config.base_url else None
    primary = ChatModel(config.name, _client(key, base_url), config)
    if not config.fallback:
        return [primary]
    if config.fallback_base_url and config.fallback_api_key:
        key = config.fallback_api_key.get_secret_value()
        base_url = str(config.fallback_base_url)
    return [primary, ChatModel(config.fallback, _client(key, base_url), config)]


def _client(api_key: str, base_url: str | None) -> AsyncOpenAI:
    # Retries have one owner (retry.py): nested ones multiply calls and waiting.
    return AsyncOpenAI(
        api_key=api_key, base_url=base_url, max_retries=0, http_client=BoundedClient()
    )
