"""kopf and nothing else: translates its watch events and its life cycle."""
