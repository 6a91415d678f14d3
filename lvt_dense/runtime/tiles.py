"""Large images and small objects: predict on tiles, and merge.

Two boxes of overlapping tiles are the same object if they agree in the part
of the image that both tiles see. So the halves of an object that a border
cuts find each other, however little they overlap as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .choices import MERGES
from .detection import Detection
from .errors import InputError
from .images import AnyImage
from .masks import Mask
from .pictures import Picture, open_picture

if TYPE_CHECKING:
    from .predictor import Found, Predictor

SAME = 0.5  # IoU in the shared part from which two boxes are one object
_NEAR = 3.0  # pixels from a border at which a box counts as cut
WHOLE_SIDE = 2048  # longest side of the image that --whole adds


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles.

    Attributes:
        side: Height and width of a tile in pixels.
        overlap: Least share of a tile that its neighbor sees, too, in
            [0, 0.9].
        whole: Predict on the whole image as well, for objects that are
            larger than a tile.
        merge: What becomes of boxes of the same object: ``'nms'`` keeps the
            one of the highest score, ``'wbf'`` averages them, weighted by
            their scores (Solovyev et al., 2021, "Weighted boxes fusion").
        batch_size: Tiles that are predicted at once.
    """

    side: int = 640
    overlap: float = 0.2
    whole: bool = False
    merge: str = 'nms'
    batch_size: int = 4

    def __post_init__(self) -> None:
        if self.side < 32:
            raise InputError(f'tiles of {self.side} pixels: give at least 32')
        if not 0 <= self.overlap <= 0.9:
            raise InputError(
                f'an overlap of {self.overlap:g}: give a share from 0 to 0.9'
            )
        if self.merge not in MERGES:
            raise InputError(
                f'merge {self.merge}: choose one of {", ".join(MERGES)}'
            )


def cut_axis(length: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Return start and end of the tiles along one side of an image.

    The tiles are spread evenly, and all are equally long.
    """
    if length <= tiling.side:
        return [(0, length)]
    step = tiling.side * (1 - tiling.overlap)
    count = int(np.ceil((length - tiling.side) / step)) + 1
    starts = np.linspace(0, length - tiling.side, count).round().astype(int)
    return [(int(s), int(s) + tiling.side) for s in starts]


def inner_axis(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Divide the overlaps of tiles along one side between neighbors."""
    middles = [
        (end + start) // 2 for (_, end), (start, _) in zip(spans, spans[1:])
    ]
    edges = [spans[0][0], *middles, spans[-1][1]]
    return list(zip(edges, edges[1:]))


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the image.
        inner: The part of it that is nearer to its middle than to that of
            its neighbors.
    """

    box: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]

    def place(self, item: Detection, shape: tuple[int, int]) -> 'Piece':
        """Move an object from the tile into its image.

        Args:
            item: The object, in pixels of the tile.
            shape: Height and width of the image.
        """
        x1, y1, x2, y2 = self.box
        item.box = item.box + np.array([x1, y1, x1, y1])
        if item.pixels is not None:
            item.pixels = item.pixels.move((x1, y1), shape)
        inside = np.array([x1 > 0, y1 > 0, x2 < shape[1], y2 < shape[0]])
        gaps = (item.box - np.array(self.box)) * np.array([1, 1, -1, -1])
        return Piece(item, self, bool((inside & (gaps < _NEAR)).any()))


def cut_tiles(shape: Sequence[int], tiling: Tiling) -> list[list[Tile]]:
    """Return the rows of tiles of an image.

    Args:
        shape: Height and width of the image.
        tiling: How it is cut.
    """
    rows, columns = (cut_axis(int(s), tiling) for s in shape[:2])
    return [
        [
            Tile((x1, y1, x2, y2), (left, top, right, bottom))
            for (x1, x2), (left, right) in zip(columns, inner_axis(columns))
        ]
        for (y1, y2), (top, bottom) in zip(rows, inner_axis(rows))
    ]


def predict_tiles(
    predictor: 'Predictor',
    image: AnyImage | Picture,
    tiling: Tiling,
    score_thr: float | str | None = None,
) -> 'Found':
    """Predict on the tiles of an image, and merge what is found.

    A TIFF file is read row of tiles by row of tiles, if tifffile is there.

    Args:
        predictor: The model.
        image: A file, a picture, or an array (H, W, 3) uint8 in RGB.
        tiling: How it is cut.
        score_thr: Lowest score of a detection.

    Returns:
        As of :meth:`~lvt_dense.runtime.predictor.Predictor.predict`, in
        pixels of the image.

    Raises:
        InputError: The model finds 3D boxes, whose depth the place in the
            image tells, or the image cannot be read.
    """
    if predictor.info['task'] == 'mono3d':
        raise InputError(
            f'{predictor.name} finds 3D boxes, for which a tile lacks the '
            'rest of the view: leave out --tiles'
        )
    if int(predictor.info.get('channels') or 3) != 3:
        raise InputError(
            f'{predictor.name} takes images of other than three bands, of '
            'which no tiles are cut: leave out --tiles'
        )
    picture = image if isinstance(image, Picture) else open_picture(image)
    if predictor.info['task'] == 'semantic':
        return _label_tiles(predictor, picture, tiling)
    pieces: list[Piece] = []
    if tiling.whole:
        pieces += _whole_pieces(predictor, picture, score_thr)
    for tile, found in _run(predictor, picture, tiling, score_thr):
        assert isinstance(found, list)
        pieces += [tile.place(item, picture.shape) for item in found]
    return merge_pieces(pieces, tiling.merge)


def _run(
    predictor: 'Predictor',
    picture: Picture,
    tiling: Tiling,
    score_thr: float | str | None = None,
) -> Iterator[tuple[Tile, 'Found']]:
    """Yield each tile and what is found in it."""
    for line in cut_tiles(picture.shape, tiling):
        _, y1, _, y2 = line[0].box
        rows = picture.read_rows(y1, y2)
        for k in range(0, len(line), tiling.batch_size):
            tiles = line[k : k + tiling.batch_size]
            parts = [rows[:, tile.box[0] : tile.box[2]] for tile in tiles]
            found = predictor.predict_batch(parts, None, score_thr)
            yield from zip(tiles, found)


def _label_tiles(
    predictor: 'Predictor', picture: Picture, tiling: Tiling
) -> np.ndarray:
    """Give each pixel its label in the tile whose middle it is nearest to."""
    few = len(predictor.classes) < 256
    out = np.zeros(picture.shape, np.uint8 if few else np.int32)
    for tile, labels in _run(predictor, picture, tiling):
        assert isinstance(labels, np.ndarray)
        (x1, y1, _, _), (left, top, right, bottom) = tile.box, tile.inner
        out[top:bottom, left:right] = labels[
            top - y1 : bottom - y1, left - x1 : right - x1
        ]
    return out


def _whole_pieces(
    predictor: 'Predictor', picture: Picture, score_thr: float | str | None
) -> list['Piece']:
    step = max(1, -(-max(picture.shape) // WHOLE_SIDE))
    small = picture.shrink(step)
    height, width = picture.shape
    (found,) = predictor.predict_batch([small], None, score_thr)
    ratio = np.array([width / small.shape[1], height / small.shape[0]] * 2)
    pieces = []
    for item in found:
        item.box = item.box * ratio
        if item.pixels is not None:
            item.pixels = _enlarge(item.pixels, picture.shape)
        whole = Tile((0, 0, width, height), (0, 0, width, height))
        pieces.append(Piece(item, whole, is_cut=False))
    return pieces


def _enlarge(mask: Mask, shape: tuple[int, int]) -> Mask:
    """Repeat the pixels of a mask up to the size of a larger image."""
    ratio = [new / old for new, old in zip(shape, mask.shape)]
    (x, y), (h, w) = mask.corner, mask.part.shape
    top, bottom = round(y * ratio[0]), round((y + h) * ratio[0])
    left, right = round(x * ratio[1]), round((x + w) * ratio[1])
    rows = ((np.arange(top, bottom) + 0.5) / ratio[0] - y).astype(int)
    columns = ((np.arange(left, right) + 0.5) / ratio[1] - x).astype(int)
    if not (h and w):
        return Mask(np.zeros((0, 0), bool), (0, 0), shape)
    part = mask.part[rows.clip(0, h - 1)][:, columns.clip(0, w - 1)]
    return Mask(part, (left, top), shape)


@dataclass
class Piece:
    """An object as one tile shows it.

    Attributes:
        item: The object, in pixels of the whole image.
        tile: The tile.
        is_cut: Whether it reaches a border of the tile behind which the
            image goes on.
    """

    item: Detection
    tile: Tile
    is_cut: bool


def merge_pieces(pieces: list[Piece], merge: str = 'nms') -> list[Detection]:
    """Make one object of all pieces that show the same.

    Pieces that no border cuts go first, then those of the highest score;
    each joins the first group of its class that it agrees with. A group
    with whole pieces is decided by them; the others are put together.

    Args:
        pieces: What all tiles show.
        merge: As in :class:`Tiling`.

    Returns:
        The objects by falling score.
    """
    order = sorted(pieces, key=lambda p: (p.is_cut, -p.item.score))
    groups: list[list[Piece]] = []
    for label in {piece.item.index for piece in order}:
        groups += _group([p for p in order if p.item.index == label])
    found = [_merge(group, merge) for group in groups]
    return sorted(found, key=lambda item: -item.score)


def _group(pieces: list[Piece]) -> list[list[Piece]]:
    boxes = np.array([p.item.box for p in pieces], float)
    tiles = np.array([p.tile.box for p in pieces], float)
    neighbors = _neighbors({piece.tile for piece in pieces})
    seen: dict[Tile, list[int]] = {tile: [] for tile in neighbors}
    group_of: list[int] = []
    groups: list[list[Piece]] = []
    for i, piece in enumerate(pieces):
        rivals = [j for tile in neighbors[piece.tile] for j in seen[tile]]
        group = len(groups)
        if rivals:
            iou = shared_iou(boxes[rivals], tiles[rivals], boxes[i], tiles[i])
            if iou.max() >= SAME:
                group = group_of[rivals[int(iou.argmax())]]
        if group == len(groups):
            groups.append([])
        groups[group].append(piece)
        group_of.append(group)
        seen[piece.tile].append(i)
    return groups


def _neighbors(tiles: set[Tile]) -> dict[Tile, list[Tile]]:
    """Return the other tiles that overlap each."""
    known = list(tiles)
    boxes = np.array([tile.box for tile in known], float)
    found = {}
    for tile in known:
        shared = _area(_intersect(boxes, np.array(tile.box, float))) > 0
        found[tile] = [t for t, near in zip(known, shared) if near]
        found[tile].remove(tile)
    return found


def shared_iou(
    boxes: np.ndarray, tiles: np.ndarray, box: np.ndarray, tile: np.ndarray
) -> np.ndarray:
    """Return the IoU of boxes in what their tiles share with another's.

    Args:
        boxes: Boxes, (N, 4) as xyxy.
        tiles: The tile of each, (N, 4).
        box: The other box, (4,).
        tile: Its tile, (4,).

    Returns:
        IoU with the box, (N,); 0 where nothing is shared.
    """
    shared = _intersect(tiles, tile)
    ours, theirs = _intersect(boxes, shared), _intersect(shared, box)
    both = _area(_intersect(ours, theirs))
    union = _area(ours) + _area(theirs) - both
    return np.divide(both, union, out=np.zeros(len(boxes)), where=union > 0)


def _intersect(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    low = np.maximum(one[..., :2], two[..., :2])
    high = np.minimum(one[..., 2:], two[..., 2:])
    return np.concatenate([low, np.maximum(high, low)], -1)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def _merge(group: list[Piece], merge: str) -> Detection:
    whole = [piece for piece in group if not piece.is_cut]
    best = max(whole or group, key=lambda piece: piece.item.score).item
    if len(group) == 1:
        return best
    boxes = np.array([p.item.box for p in whole or group])
    if not whole:  # parts of an object that no tile sees as a whole
        best.box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        best.pixels = _join(group)
    elif merge == 'wbf' and len(whole) > 1:
        scores = np.array([piece.item.score for piece in whole])
        best.box = (boxes * scores[:, None]).sum(0) / scores.sum()
        best.score = float(scores.mean())
    return best


def _join(group: list[Piece]) -> Mask | None:
    """Unite the masks of an object's parts.

    What lies in the inner part of a tile is decided by the mask of it.
    """
    masks = [p.item.pixels for p in group if p.item.pixels is not None]
    if not masks:
        return None
    corners = np.array([mask.corner for mask in masks])
    ends = np.array([mask.part.shape[::-1] for mask in masks]) + corners
    left, top = (int(v) for v in corners.min(0))
    right, bottom = (int(v) for v in ends.max(0))
    part = np.zeros((bottom - top, right - left), bool)
    for i, mask in enumerate(masks):
        own = mask.part.copy()
        x, y = mask.corner
        for k, piece in enumerate(group):
            if k != i and piece.tile != group[i].tile:
                x1, y1, x2, y2 = piece.tile.inner
                rows = slice(max(y1 - y, 0), max(y2 - y, 0))
                own[rows, max(x1 - x, 0) : max(x2 - x, 0)] = False
        height, width = own.shape
        where = part[y - top : y - top + height, x - left : x - left + width]
        where |= own
    return Mask(part, (left, top), masks[0].shape)
