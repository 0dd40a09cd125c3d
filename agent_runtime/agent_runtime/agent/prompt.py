"""The system prompt: files of a mounted ConfigMap (or of the image), read once at start."""

from pathlib import Path

from agent_runtime.errors import InvalidContentError

SYSTEM_PROMPT_FILE = "system.md"
MAX_PROMPT_BYTES = 900 * 1024


def load_prompt(directory: Path) -> str:
    """Return the text of `system.md`, else of the only file, else raise InvalidContentError."""
    try:
        # A ConfigMap volume holds dotted links (`..data`) beside the files.
        files = sorted(f for f in directory.iterdir() if f.name[0] != "." and f.is_file())
    except OSError as error:
        raise InvalidContentError(f"prompt directory {directory}: {error.strerror}") from error
    chosen = [f for f in files if f.name == SYSTEM_PROMPT_FILE] or files
    if len(chosen) != 1:
        found = ", ".join(f.name for f in files) or "nothing"
        wanted = f"{SYSTEM_PROMPT_FILE} or exactly one file"
        raise InvalidContentError(f"prompt directory {directory} needs {wanted}, has {found}")
    return _text(chosen[0])


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PROMPT_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise InvalidContentError(f"prompt file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidContentError(f"prompt file {path} is not UTF-8") from error
    if len(raw) > MAX_PROMPT_BYTES:
        raise InvalidContentError(f"prompt file {path} is larger than {MAX_PROMPT_BYTES} bytes")
    if not text.strip():
        raise InvalidContentError(f"prompt file {path} is empty")
    return text
