"""One builder per kind of owned object: pure functions of the agent and a frozen revision."""
