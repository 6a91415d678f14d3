"""Data sets, their transforms, and rendered scenes.

This module imports nothing, so that the scenes need no framework;
``lvt_dense.datasets.registration`` registers the rest.
"""
