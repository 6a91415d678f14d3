"""READMEs, metafiles and model index: in step with the configs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import write_metafiles as metafiles
import yaml
from write_metafiles import METHODS, read_recipe, render

from lvt_dense.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / 'configs'


def parameters_of(name: str) -> int | None:
    """What the metafile says."""
    (row,) = [
        model
        for path in CONFIGS.glob('_methods/*/metafile.yml')
        for model in yaml.safe_load(path.read_text())['Models']
        if model['Name'] == name
    ]
    return row['Metadata'].get('Parameters')


@pytest.fixture(scope='module')
def files() -> Iterator[dict[Path, str]]:
    """All texts, without building all models again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            metafiles,
            'count_parameters',
            lambda cfg: parameters_of(Path(cfg.filename).stem),
        )
        yield render(CONFIGS)


def test_files_are_in_step(files: dict[Path, str]) -> None:
    """After a change of a config run `tools/dev/write_metafiles.py`."""
    for path, text in files.items():
        assert (ROOT / path).read_text() == text, path
    there = {p.relative_to(ROOT) for p in CONFIGS.glob('_methods/*/*')}
    assert there == {path for path in files if path.name != 'model-index.yml'}


def test_every_config_is_listed_once(files: dict[Path, str]) -> None:
    index = yaml.safe_load(files[Path('model-index.yml')])
    listed = [
        model['Config']
        for path in index['Import']
        for model in yaml.safe_load(files[Path(path)])['Models']
    ]
    there = [f'configs/{path.name}' for path in CONFIGS.glob('*.py')]
    assert sorted(listed) == sorted(there)


def test_official_weights_are_linked(files: dict[Path, str]) -> None:
    text = files[Path('configs/_methods/ssdlite/metafile.yml')]
    weights = {
        model['Name']: model.get('Weights')
        for model in yaml.safe_load(text)['Models']
    }
    assert weights['ssdlite_mobilevit_320_coco'].endswith('_s_320.pt')
    assert weights['ssdlite_emo_320_coco'] is None


def test_recipe() -> None:
    found = read_recipe(CONFIGS / 'ssdlite_mobilevit_320_coco.py')
    assert found.title.startswith('SSDLite with MobileViT-S on COCO')
    assert found.results == {'mAP': 27.7}
    assert found.backbone == 'MobileViT s'
    assert found.dataset == 'Coco'
    both = read_recipe(CONFIGS / 'mask_rcnn_mobilevit_1024_coco.py')
    assert both.results == {'box mAP': 42.0, 'mask mAP': 37.7}


@pytest.mark.parametrize(
    'name', ('ssdlite_mobilevit_xxs_320_coco', 'pspnet_emo_1m_360_camvid')
)
def test_parameters(name: str) -> None:
    assert read_recipe(CONFIGS / f'{name}.py').parameters == (
        parameters_of(name)
    )


def test_config_without_header_or_method(tmp_path: Path) -> None:
    folder = tmp_path / 'configs'
    folder.mkdir()
    (folder / 'ssdlite_x.py').write_text('model = dict()')
    with pytest.raises(UserError, match='ssdlite_x.py has no header'):
        render(folder)
    (folder / 'ssdlite_x.py').rename(folder / 'unknown_x.py')
    with pytest.raises(UserError, match='unknown_x.py is of no method'):
        render(folder)


def test_methods_have_papers() -> None:
    for method in METHODS:
        assert method.url.startswith('https://arxiv.org/abs/')
