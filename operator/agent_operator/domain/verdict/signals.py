"""The closed list of what can be wrong with a session, by its names in spec, counters, reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Signal(StrEnum):
    """A signal by its name in `spec.rollout.analysis.signals`."""

    ERROR_RATE = "errorRate"
    FALLBACK_RATE = "fallbackRate"
    LATENCY = "latency"
    CHAIN_LENGTH = "chainLength"


@dataclass(frozen=True, slots=True)
class SignalDefinition:
    """Names of one signal outside the spec, and its default limit (share of requests)."""

    counter_label: str  # value of the label `signal` on the pods' counters
    reason_prefix: str
    default_max: float


DEFINITIONS: Final[Mapping[Signal, SignalDefinition]] = MappingProxyType(
    {
        Signal.ERROR_RATE: SignalDefinition("error", "ErrorRate", 0.05),
        Signal.FALLBACK_RATE: SignalDefinition("fallback", "FallbackRate", 0.2),
        Signal.LATENCY: SignalDefinition("latency", "Latency", 0.05),
        Signal.CHAIN_LENGTH: SignalDefinition("chain", "ChainLength", 0.05),
    }
)

SIGNAL_BY_COUNTER_LABEL: Final[Mapping[str, Signal]] = MappingProxyType(
    {definition.counter_label: signal for signal, definition in DEFINITIONS.items()}
)
