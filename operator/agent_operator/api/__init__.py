"""The public contract: what a user may write into an AgentDeployment and what its status says."""
