"""Normalization of images of any number of bands."""

from collections.abc import Sequence
from typing import Any

import torch


class AnyBands:
    """Take one mean and standard deviation a band, however many.

    MMEngine's preprocessor, which comes after it among the bases, takes one
    or three.

    Args:
        mean: One value a band, or one for all; None does not normalize.
        std: Likewise.
        **kwargs: Arguments of the preprocessor.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        few = (None, None) if mean is None or std is None else ([0.0], [1.0])
        kwargs.update(mean=few[0], std=few[1])
        super().__init__(**kwargs)
        if mean is not None and std is not None:
            self.mean = torch.tensor(mean, dtype=torch.float).view(-1, 1, 1)
            self.std = torch.tensor(std, dtype=torch.float).view(-1, 1, 1)
