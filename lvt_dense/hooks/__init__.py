"""Hooks of the runner."""

from .picture_hook import PictureHook

__all__ = ['PictureHook']
