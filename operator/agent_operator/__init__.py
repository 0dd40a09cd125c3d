"""The Kubernetes operator for AgentDeployments."""

__version__ = "0.1.0"
