"""Rendered scenes in the layouts of known data sets."""
