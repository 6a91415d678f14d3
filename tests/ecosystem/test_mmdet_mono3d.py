"""MMDetection's own inference on monocular 3D configs of ours."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from lvt_dense.scenes import write_kitti
from lvt_dense.utils.errors import UserError

CONFIG = (
    Path(__file__).parents[2] / 'configs' / 'monocon_mobilevit_xxs_kitti.py'
)
CLASSES = ('Pedestrian', 'Cyclist', 'Car')


@pytest.fixture(scope='module')
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A rendered frame of a data set in KITTI's layout."""
    folder = tmp_path_factory.mktemp('data') / 'kitti'
    write_kitti(folder, 1, size=(310, 94))
    return str(folder / 'training' / 'image_2' / '000000.png')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights, with the classes as a training saves them."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIG).model)
    model.init_weights()
    path = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def test_inference_detector(image: str, checkpoint: str) -> None:
    model = init_detector(str(CONFIG), checkpoint, device='cpu')
    sample = inference_detector(model, image)
    found = sample.pred_instances_3d
    assert len(found) and found.bboxes_3d.shape == (len(found), 7)
    # In the original image, through the camera of its calibration file.
    assert found.bboxes[:, 2].max() <= 309
    assert sample.ori_cam2img[0, 2] == pytest.approx(152.1, abs=0.5)
    picture = cv2.imread(image)
    with pytest.raises(UserError, match='needs the camera'):
        inference_detector(model, picture)
    pipeline = model.cfg.test_dataloader.dataset.pipeline
    pipeline[1]['cam2img'] = np.asarray(sample.ori_cam2img).tolist()
    (again,) = inference_detector(model, [picture])
    assert torch.allclose(again.pred_instances_3d.bboxes_3d, found.bboxes_3d)


def test_det_inferencer(image: str, checkpoint: str, tmp_path: Path) -> None:
    inferencer = DetInferencer(
        str(CONFIG), checkpoint, device='cpu', show_progress=False
    )
    out = inferencer(
        image,
        out_dir=str(tmp_path),
        pred_score_thr=0.05,
        return_datasamples=False,
    )
    (found,) = out['predictions']
    assert len(found['scores']) == len(found['bboxes']) > 0
    (picture,) = (tmp_path / 'vis').iterdir()
    # The view from above stands beside the image.
    height, width = cv2.imread(str(picture)).shape[:2]
    assert height == 560 and width > 560 * 310 / 94 + 500
