"""Whether a canary is bad: counters of agent sessions in, an explained verdict out.

Flow: readings -> deltas -> absorb (evidence) -> judge -> sentence. Pure and deterministic.
"""
