"""Networks whose answers are known, for what is built around them."""

import numpy as np

from lvt_dense.runtime import Predictor, Session

CLASSES = ('red', 'green', 'blue')


def spot_finder(batch: int | None = None, masks: bool = False) -> Predictor:
    """A detector that finds the spots of full red, green or blue.

    The score of a spot is the share of its box that it fills.
    """

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        images = [_spots(image) for image in feed['image']]
        out = dict(
            boxes=np.stack([np.array([s[0] for s in x]) for x in images]),
            scores=np.stack([np.array([s[1] for s in x]) for x in images]),
            labels=np.stack([np.array([s[2] for s in x]) for x in images]),
        )
        if masks:
            out['image_masks'] = np.stack(
                [[s[3] for s in spots] for spots in images]
            )
        return out

    task = 'instance' if masks else 'detection'
    return Predictor(Session(run, _info(task, batch), 'spots'))


def color_labeler(batch: int | None = None) -> Predictor:
    """A segmenter that gives each pixel its strongest channel."""

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(labels=feed['image'].argmax(-1).astype(np.int32))

    return Predictor(Session(run, _info('semantic', batch), 'colors'))


def _info(task: str, batch: int | None) -> dict:
    return dict(
        task=task,
        classes=list(CLASSES),
        palette=[[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        color='rgb',
        size=None,
        resize='none',
        scale=None,
        divisor=1,
        score_thr=0.3,
        batch=batch,
        inputs=['image'],
    )


def _spots(image: np.ndarray) -> list[tuple]:
    import cv2

    found = []
    for label in range(3):
        where = (image == np.eye(3, dtype=np.uint8)[label] * 255).all(-1)
        count, regions = cv2.connectedComponents(where.astype(np.uint8))
        for k in range(1, count):
            mask = regions == k
            rows, columns = np.nonzero(mask)
            x1, y1 = columns.min(), rows.min()
            x2, y2 = columns.max() + 1, rows.max() + 1
            share = mask.sum() / ((x2 - x1) * (y2 - y1))
            box = np.array([x1, y1, x2, y2], float)
            found.append((box, share, label, mask))
    found.sort(key=lambda spot: -spot[1])
    empty = (np.zeros(4), 0.0, 0, np.zeros(image.shape[:2], bool))
    return (found + [empty] * 20)[:20]
