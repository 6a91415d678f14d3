"""Label maps: pictures whose values are labels."""

import io

import mmengine.fileio as fileio
import numpy as np
from PIL import Image, UnidentifiedImageError

from lvt_dense.utils.errors import UserError

IGNORED = 255


def ignored_label(num_classes: int) -> int:
    """Return the label of pixels that do not count.

    It is 255, and 65535 for more classes than eight bits can hold.
    """
    return IGNORED if num_classes <= IGNORED else 65535


def read_mask(path: str) -> np.ndarray:
    """Read the labels of a picture; of one with a palette, its indices.

    Returns:
        Labels, (H, W).

    Raises:
        UserError: The picture is missing, corrupt, or has several channels.
    """
    try:
        with Image.open(io.BytesIO(fileio.get(path))) as picture:
            raw = np.array(picture)
    except FileNotFoundError as error:
        raise UserError(f'mask {path} is not there') from error
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:
        raise UserError(
            f'mask {path} is empty or corrupt: replace it'
        ) from error
    if raw.dtype.kind == 'f' and not (raw % 1 == 0).all():
        raise UserError(
            f'mask {path} has values that are no integers: its values are '
            'labels'
        )
    if raw.ndim != 2:
        raise UserError(
            f'mask {path} has {raw.shape[2]} channels: a mask has one, whose '
            'values are labels and not colors'
        )
    return raw
