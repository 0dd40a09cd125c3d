"""The mock LLM's server: llmock with the faults of a file, which survive a restart of the pod."""

import json
import sys
from pathlib import Path

import uvicorn
from llmock.journal import Journal
from llmock.main import create_app
from llmock.scenarios import behavior_from_dict

# Requests are kept with their bodies; the default of 10,000 is more than this pod's memory.
JOURNAL_REQUESTS = 500
# Longer than any client keeps an idle connection: closed by us just when it sends, a request fails.
IDLE_CONNECTION_SECONDS = 600

if __name__ == "__main__":
    faults = json.loads(Path(sys.argv[1]).read_text())
    app = create_app()
    app.state.llmock.journal = Journal(capacity=JOURNAL_REQUESTS)
    app.state.llmock.scenarios.add(*(behavior_from_dict(fault) for fault in faults))
    uvicorn.run(
        app,
        host="0.0.0.0",  # noqa: S104
        port=8080,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=IDLE_CONNECTION_SECONDS,
    )
