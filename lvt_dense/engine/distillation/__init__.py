"""Learn from a teacher while training, see :mod:`.settings`."""
