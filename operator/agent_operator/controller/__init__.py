"""Async orchestration between watches, the pure domain and the API server."""
