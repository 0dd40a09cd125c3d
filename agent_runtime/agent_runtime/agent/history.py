"""From stored turns to the messages of one call: the newest turns that fit the token allowance."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 8


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of the user and the answer a model gave to it."""

    question: str
    answer: str


def call_messages(
    system_prompt: str, history: list[Turn], *, message: str, max_history_tokens: int
) -> "list[ChatCompletionMessageParam]":
    """Return system prompt, as many of the latest turns as fit, and the new message."""
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": system_prompt}]
    for turn in _latest_that_fit(history, max_history_tokens):
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer})
    messages.append({"role": "user", "content": message})
    return messages


def _latest_that_fit(history: list[Turn], max_tokens: int) -> list[Turn]:
    """Keep whole turns only: an answer without its question would mislead the model."""
    left = max_tokens
    for index in range(len(history) - 1, -1, -1):
        left -= _estimated_tokens(history[index].question)
        left -= _estimated_tokens(history[index].answer)
        if left < 0:
            return history[index + 1 :]
    return history


def _estimated_tokens(text: str) -> int:
    """Estimate without a tokenizer; every provider has its own."""
    return len(text.encode()) // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE
