"""HTTP: the agent's port, the operations port, problem documents."""
