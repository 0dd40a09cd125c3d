"""The rollout's state machine: states, decisions and what they mean for traffic."""
