"""`python -m agent_runtime`: able to stop from its first moment on, then the process itself."""

import os
import signal
import sys

EXIT_BY_SIGTERM = 128 + signal.SIGTERM


def main() -> int:
    """Run the process and return its exit code; until it serves, SIGTERM ends it at once."""
    # As the first process of a container it would not be stopped by a signal it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(EXIT_BY_SIGTERM))
    from agent_runtime.process import run  # noqa: PLC0415  it takes a second to import

    return run()


if __name__ == "__main__":
    sys.exit(main())
