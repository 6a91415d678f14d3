"""Angles in radians."""

import math
from typing import TypeVar

import numpy as np
from torch import Tensor

Angle = TypeVar('Angle', float, np.ndarray, Tensor)


def wrap_angle(angle: Angle) -> Angle:
    """Wrap angles to [-pi, pi).

    Args:
        angle: A number, an array or a tensor, in radians.
    """
    turn = 2 * math.pi
    # The remainder of a tiny negative number rounds up to a whole turn, so
    # it is taken twice.
    return (angle + math.pi) % turn % turn - math.pi
