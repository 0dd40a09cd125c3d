"""The key that signs session ids."""

import base64

import pytest

from agent_operator.domain.resources.secret import KEY_BYTES, keys_secret
from tests.factories import agent


def test_the_key_is_a_line_of_text_that_holds_all_random_bytes() -> None:
    random_key = bytes(range(100, 100 + KEY_BYTES))
    line = base64.b64decode(keys_secret(agent(), random_key)["data"]["session-signing-key"])
    assert base64.urlsafe_b64decode(line) == random_key
    assert len(line) >= 32
    assert line.isascii()


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused_without_showing_it(length: int) -> None:
    with pytest.raises(ValueError, match=f"not {length}") as error:
        keys_secret(agent(), b"k" * length)
    assert "kkk" not in str(error.value)
