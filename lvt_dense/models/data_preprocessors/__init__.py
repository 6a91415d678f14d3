"""Data preprocessors for images of any number of bands."""
