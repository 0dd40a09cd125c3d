"""The pod's side of the contract: runs an agent and exports what the operator judges."""
