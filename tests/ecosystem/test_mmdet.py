"""MMDetection's own API and scripts on configs of ours."""

from pathlib import Path

import cv2
import mmdet
import mmengine.hub
import pytest
from helpers.commands import run_script, skip_beautifier
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.models import SingleStageDetector

from lvt_dense.scenes import write_coco

TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'
NAME = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
CLASSES = ('person', 'bicycle', 'car')
# What a user writes to train on data of theirs, with the smallest effort.
DERIVED = """
_base_ = [{name!r}]
data_root = {root!r}
work_dir = {work_dir!r}
small = dict(type='Resize', scale=(64, 64), keep_ratio=False)
test_pipeline = [
    dict(type='LoadImageFromFile', _scope_='lvt_dense'),
    small,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=1)
model = dict(test_cfg=dict(max_per_img=3))
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config that derives from ours, trained by MMDetection's script."""
    folder = tmp_path_factory.mktemp('mmdet')
    write_coco(folder / 'data', 6, seed=1, size=(96, 72), val_fraction=0.34)
    config = folder / 'derived.py'
    text = DERIVED.format(
        name=NAME, root=f'{folder}/data/', work_dir=f'{folder}/work'
    )
    config.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        assert run_script(TOOLS / 'train.py', config) == 0
    return folder


def test_script_trains_a_config_that_derives_from_ours(trained: Path) -> None:
    assert (trained / 'work' / 'epoch_1.pth').is_file()
    assert (
        'coco/bbox_mAP' in next((trained / 'work').rglob('*.log')).read_text()
    )


def test_script_draws_and_scores(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_beautifier(monkeypatch)
    status = run_script(
        TOOLS / 'test.py',
        trained / 'derived.py',
        trained / 'work' / 'epoch_1.pth',
        '--show-dir',
        'shown',
        '--work-dir',
        trained / 'tested',
    )
    assert status == 0
    drawn = list((trained / 'tested').glob('*/shown/*.png'))
    images = list((trained / 'data' / 'val2017').iterdir())
    assert {p.stem for p in drawn} == {p.name for p in images}
    assert cv2.imread(str(drawn[0])).shape == (72, 2 * 96, 3)


def test_api_and_inferencer(trained: Path, tmp_path: Path) -> None:
    config = str(trained / 'derived.py')
    weights = str(trained / 'work' / 'epoch_1.pth')
    image = str(min((trained / 'data' / 'val2017').iterdir()))
    model = init_detector(config, weights, device='cpu')
    assert model.dataset_meta['classes'] == CLASSES
    found = inference_detector(model, image).pred_instances
    inferencer = DetInferencer(config, weights, device='cpu')
    results = inferencer(image, out_dir=str(tmp_path), no_save_pred=True)
    (prediction,) = results['predictions']
    assert prediction['labels'] == found.labels.tolist()
    assert prediction['scores'] == pytest.approx(found.scores.tolist())
    assert len(list((tmp_path / 'vis').iterdir())) == 1


@pytest.mark.parametrize('suffix', ['', '.py'])
def test_hub_builds_in_the_scope_of_the_config(suffix: str) -> None:
    name = f'lvt_dense::ssdlite_mobilevit_xxs_320_coco{suffix}'
    model = mmengine.hub.get_model(name)
    assert isinstance(model, SingleStageDetector)
    assert model.backbone.out_channels == (64, 80)
    theirs = mmengine.hub.get_model(
        'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'
    )
    assert isinstance(theirs, SingleStageDetector)
