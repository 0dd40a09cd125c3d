"""Session ids: ours are known again, all others are not."""

from pathlib import Path

import pytest

from agent_runtime.errors import InvalidContentError
from agent_runtime.sessions.ids import SessionKeys, load_session_keys

OLD_KEY = "o" * 32
NEW_KEY = "n" * 32


def test_an_issued_id_is_known_again() -> None:
    keys = SessionKeys([NEW_KEY])
    issued = keys.issue(pinned=False)

    assert keys.verified(issued.text) == issued


@pytest.mark.parametrize("pinned", [True, False])
def test_an_id_tells_whether_its_conversation_is_pinned(pinned: bool) -> None:
    keys = SessionKeys([NEW_KEY])
    known = keys.verified(keys.issue(pinned=pinned).text)

    assert known is not None
    assert known.pinned is pinned


def test_an_id_tells_its_age_to_whoever_has_the_key() -> None:
    issued = SessionKeys([NEW_KEY], now=lambda: 1_900_000_000).issue(pinned=True)
    later = SessionKeys([NEW_KEY], now=lambda: 1_900_000_060)

    known = later.verified(issued.text)

    assert known is not None
    assert later.age_seconds(known) == 60


def test_changing_any_character_makes_an_id_foreign() -> None:
    keys = SessionKeys([NEW_KEY])
    text = keys.issue(pinned=False).text
    changed = [
        text[:index] + ("A" if character != "A" else "B") + text[index + 1 :]
        for index, character in enumerate(text)
    ]

    assert [keys.verified(each) for each in changed] == [None] * len(text)


@pytest.mark.parametrize(
    "text", ["", "1", "s" * 46, "sé.x", "s" + "A" * 27 + "." + "A" * 22 + "\n"]
)
def test_a_made_up_id_is_foreign(text: str) -> None:
    assert SessionKeys([NEW_KEY]).verified(text) is None


def test_an_id_of_another_key_is_foreign() -> None:
    issued = SessionKeys([OLD_KEY]).issue(pinned=False)

    assert SessionKeys([NEW_KEY]).verified(issued.text) is None


def test_after_rotation_the_new_key_signs_and_the_old_one_still_counts(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{NEW_KEY}\n{OLD_KEY}\n")
    rotated = load_session_keys(file)

    assert rotated.verified(SessionKeys([OLD_KEY]).issue(pinned=False).text)
    assert SessionKeys([NEW_KEY]).verified(rotated.issue(pinned=False).text)


def test_without_a_file_every_process_has_a_key_of_its_own() -> None:
    issued = load_session_keys(None).issue(pinned=False)

    assert load_session_keys(None).verified(issued.text) is None


@pytest.mark.parametrize("content", ["", "short", f"{NEW_KEY}\nshort\n"])
def test_a_file_with_a_weak_key_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)

    with pytest.raises(InvalidContentError, match="at least 32"):
        load_session_keys(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidContentError, match="cannot be read"):
        load_session_keys(tmp_path / "absent")
