"""Tests of lvt_dense.

A package, as MMSegmentation 1.2.2 installs one of the same name, in which
processes started by a test would look for its functions otherwise.
"""
