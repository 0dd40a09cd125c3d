"""Secret `<name>-keys`: signs session ids. Created once, then never written again."""

import base64

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import keys_name, owned_metadata
from agent_operator.domain.resources.pod_template import SESSION_KEY

KEY_BYTES = 32


def keys_secret(agent: AgentDeployment, random_key: bytes) -> Manifest:
    """Return the Secret for a random key of `KEY_BYTES` bytes, kept as a line of base64url text."""
    if len(random_key) != KEY_BYTES:
        raise ValueError(f"a session signing key has {KEY_BYTES} bytes, not {len(random_key)}")
    line = base64.urlsafe_b64encode(random_key)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": owned_metadata(agent, keys_name(agent)),
        "type": "Opaque",
        "data": {SESSION_KEY: base64.b64encode(line).decode()},
    }
