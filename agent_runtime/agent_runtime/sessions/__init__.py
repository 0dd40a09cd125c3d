"""Conversations: signed ids, what is remembered of them, where it is kept."""
