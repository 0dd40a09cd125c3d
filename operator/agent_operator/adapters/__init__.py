"""Implementations of the ports over real servers: Kubernetes and Prometheus."""
