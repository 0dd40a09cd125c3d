"""The one exception of the demo: a sentence for the person at the keyboard."""


class DemoError(Exception):
    """What did not happen, and where to look or what to do."""
