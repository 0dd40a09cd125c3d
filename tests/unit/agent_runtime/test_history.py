"""Which turns of a conversation a call still carries."""

from agent_runtime.agent.history import Turn, call_messages


def test_a_call_carries_prompt_turns_and_message_in_order() -> None:
    messages = call_messages(
        "Be kind.", [Turn("Hi", "Hello")], message="Bye", max_history_tokens=1000
    )

    assert [(m["role"], m["content"]) for m in messages if "content" in m] == [
        ("system", "Be kind."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Bye"),
    ]


def test_the_oldest_turns_go_first_and_whole() -> None:
    history = [Turn("q" * 400, "a" * 400) for _ in range(10)]
    turn_tokens = 2 * (100 + 8)

    messages = call_messages("p", history, message="m", max_history_tokens=3 * turn_tokens)

    assert len(messages) == 1 + 2 * 3 + 1


def test_a_turn_that_does_not_fit_hides_the_older_ones_too() -> None:
    history = [Turn("old", "small"), Turn("q" * 4000, "a"), Turn("new", "small")]

    messages = call_messages("p", history, message="m", max_history_tokens=100)

    assert [m.get("content") for m in messages] == ["p", "new", "small", "m"]
