"""Each fault that the doctor knows, faked, and the command it names."""

import runpy
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config

from lvt_dense.apis import doctor
from lvt_dense.apis.doctor import FAULT, NOTE, OK, Finding, System
from lvt_dense.commands.main import main
from lvt_dense.config import load_config, set_data_root
from lvt_dense.ops.kernels import matching_torchvision
from lvt_dense.scenes import write_coco
from lvt_dense.utils.errors import UserError

ONEDL = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'opencv-python': '4.12.0',
    'setuptools': '84.2.1',
}
ORIGINAL = {
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'setuptools': '84.2.1',
}
GIB = 2**30


class Machine(System):
    """A machine with faults.

    Args:
        versions: Installed distributions.
        broken: Errors by the module whose import raises them.
        modules: Stand-ins for modules.
    """

    def __init__(
        self,
        versions: dict[str, str] | None = None,
        broken: dict[str, Exception] | None = None,
        **modules: Any,
    ) -> None:
        self._versions = ONEDL if versions is None else versions
        self._broken = broken or {}
        self._modules = modules
        self.disk, self.ram, self.shm = 90 * GIB, 16 * GIB, 8 * GIB
        self.driver = False

    def versions(self) -> dict[str, str]:
        return dict(self._versions)

    def load(self, module: str) -> ModuleType:
        if module in self._broken:
            raise self._broken[module]
        name = module.replace('.', '_')
        return self._modules.get(name) or super().load(module)

    def free_disk(self, path: Path) -> int:
        return self.disk

    def memory(self) -> int:
        return self.ram

    def shared_memory(self) -> int:
        return self.shm

    def has_gpu_driver(self) -> bool:
        return self.driver


def only(findings: Any) -> Finding:
    """Return the one finding."""
    (found,) = findings
    return found


def fault(findings: Any) -> Finding:
    """Return the one fault among findings."""
    (found,) = (f for f in findings if f.status == FAULT)
    assert found.remedy
    return found


def test_old_python() -> None:
    machine = Machine()
    machine.python = lambda: (3, 9, 1)
    assert '3.10' in fault(doctor.check_python(machine)).text


def test_missing_and_old_torch() -> None:
    missing = Machine(broken={'torch': ModuleNotFoundError("No 'torch'")})
    assert 'torch>=2.6' in fault(doctor.check_torch(missing)).remedy
    old = Machine(torch=SimpleNamespace(__version__='2.5.1+cpu'))
    assert '2.5.1' in fault(doctor.check_torch(old)).text


def test_numpy_2_with_a_torch_that_was_built_for_1() -> None:
    def refuse(array: Any) -> None:
        raise RuntimeError('Numpy is not available')

    torch = SimpleNamespace(__version__='2.6.0', from_numpy=refuse)
    found = fault(doctor.check_torch(Machine(torch=torch)))
    assert 'Numpy is not available' in found.text
    assert found.remedy == 'pip install --upgrade torch numpy'


def test_torchvision_of_another_torch() -> None:
    machine = Machine(
        {**ONEDL, 'torchvision': '0.28'},
        {'torchvision': RuntimeError('operator torchvision::nms')},
    )
    found = fault(doctor.check_torchvision(machine))
    assert found.remedy == 'pip uninstall -y torchvision'
    assert not list(doctor.check_torchvision(Machine()))


@pytest.mark.parametrize('versions', [ONEDL, ORIGINAL])
def test_either_stack_is_right(versions: dict[str, str]) -> None:
    found = only(doctor.check_stack(Machine(versions)))
    assert found.status == OK
    assert list(versions)[0] in found.text


def test_both_distributions_of_one_module() -> None:
    machine = Machine({**ONEDL, 'mmcv': '2.1.0'})
    found = fault(doctor.check_stack(machine))
    assert found.remedy == (
        'pip uninstall -y onedl-mmcv mmcv && pip install --no-deps onedl-mmcv'
    )


def test_missing_package_of_the_stack_in_use() -> None:
    machine = Machine({k: v for k, v in ORIGINAL.items() if k != 'mmdet'})
    assert fault(doctor.check_stack(machine)).remedy == 'pip install mmdet'
    machine = Machine({'torch': '2.13'})
    found = fault(doctor.check_stack(machine))
    assert found.remedy == f'pip install {" ".join(doctor.STACKS["onedl"])}'


def test_mmcv_lite_is_an_mmcv() -> None:
    versions = {k: v for k, v in ORIGINAL.items() if k != 'mmcv'}
    found = only(doctor.check_stack(Machine({**versions, 'mmcv-lite': '2'})))
    assert found.status == OK


def test_setuptools_without_pkg_resources() -> None:
    error = ModuleNotFoundError("No module named 'pkg_resources'")
    machine = Machine(ORIGINAL, {'pkg_resources': error, 'mmengine': error})
    found = fault(doctor.check_pkg_resources(machine))
    assert found.remedy == "pip install 'setuptools<81'"
    assert '84.2.1' in found.text
    assert fault(doctor.check_imports(machine)).remedy == found.remedy
    onedl = Machine(ONEDL, {'pkg_resources': error})
    assert not list(doctor.check_pkg_resources(onedl))


def test_second_opencv_of_another_version() -> None:
    machine = Machine({**ONEDL, 'opencv-python-headless': '4.9.0'})
    assert fault(doctor.check_opencv(machine)).remedy == (
        'pip uninstall -y opencv-python opencv-python-headless && '
        'pip install opencv-python'
    )
    same = Machine({**ONEDL, 'opencv-python-headless': '4.12.0'})
    assert only(doctor.check_opencv(same)).status == OK


@pytest.mark.parametrize(
    ('message', 'package'),
    [
        ('libGL.so.1: cannot open shared', 'opencv-python-headless'),
        ("No module named 'cv2'", 'opencv-python'),
    ],
)
def test_opencv_does_not_load(message: str, package: str) -> None:
    machine = Machine(broken={'cv2': ImportError(message)})
    assert fault(doctor.check_opencv(machine)).remedy == (
        f'pip uninstall -y opencv-python && pip install {package}'
    )


def test_extension_that_was_built_for_numpy_1() -> None:
    error = ValueError('numpy.dtype size changed')
    machine = Machine(broken={'pycocotools.mask': error})
    found = fault(doctor.check_pycocotools(machine))
    assert 'pycocotools' in found.remedy
    assert 'numpy.dtype size changed' in found.text


def test_operators(tmp_path: Path) -> None:
    mmcv = SimpleNamespace(__path__=[str(tmp_path)])
    compiled, pure, mixed = (
        SimpleNamespace(operator_forms=lambda device, x=forms: x)
        for forms in (
            dict(nms='mmcv', carafe='mmcv'),
            dict(nms='pytorch', carafe='pytorch'),
            dict(nms='torchvision', carafe='pytorch'),
        )
    )

    def found(ops: Any, has_gpu: bool = False) -> Finding:
        cuda = SimpleNamespace(is_available=lambda: has_gpu)
        torch = SimpleNamespace(cuda=cuda)
        machine = Machine(lvt_dense_ops=ops, mmcv=mmcv, torch=torch)
        return only(doctor.check_operators(machine))

    assert found(compiled).status == OK
    assert found(pure).status == NOTE
    assert 'make ops' in found(pure).text
    on_gpu = found(pure, has_gpu=True)
    assert on_gpu.status == NOTE
    assert on_gpu.remedy == f"pip install '{matching_torchvision()}'"
    assert found(mixed, has_gpu=True).status == OK
    assert "nms by torchvision's kernels" in found(mixed, has_gpu=True).text
    (tmp_path / '_ext.cpython-311-x86_64-linux-gnu.so').touch()
    assert found(pure).status == FAULT
    assert '--no-build-isolation onedl-mmcv' in found(pure).remedy


def test_missing_part_of_a_package_is_named() -> None:
    error = ModuleNotFoundError("No module named 'ftfy'", name='ftfy')
    machine = Machine(broken={'mmseg': error})
    assert fault(doctor.check_imports(machine)).remedy == 'pip install ftfy'


def test_a_missing_package_is_reported_once() -> None:
    names = ('torch', 'numpy', 'cv2', 'mmengine', 'mmcv', 'mmdet', 'mmseg')
    broken = {
        name: ModuleNotFoundError(f'No module named {name!r}', name=name)
        for name in names
    }
    for module in (
        'mmengine.registry',
        'lvt_dense.ops',
        'lvt_dense.compat.stack',
    ):
        broken[module] = broken['mmengine']
    broken['lvt_dense.apis.weights'] = broken['torch']
    machine = Machine({'setuptools': '84'}, broken)
    faults = [f for f in doctor.examine(system=machine) if f.status == FAULT]
    assert [f.topic for f in faults] == ['torch', 'stack', 'OpenCV']


def test_versions_that_refuse_each_other() -> None:
    error = AssertionError('MMCV==2.3.6 is used but incompatible')
    machine = Machine(broken={'mmdet': error})
    found = fault(doctor.check_imports(machine))
    assert 'incompatible' in found.text
    assert found.remedy == 'pip install --upgrade onedl-mmdetection'


def test_registry_that_does_not_build() -> None:
    models = SimpleNamespace(build=lambda cfg: 1 / 0)
    machine = Machine(mmengine_registry=SimpleNamespace(MODELS=models))
    assert 'ZeroDivisionError' in fault(doctor.check_registry(machine)).text
    assert only(doctor.check_registry(Machine())).status == OK


def test_torch_that_refuses_checkpoints() -> None:
    nothing = SimpleNamespace(allow_own_checkpoints=lambda: None)
    import torch

    kept = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        found = fault(
            doctor.check_checkpoints(Machine(lvt_dense_compat_stack=nothing))
        )
    finally:
        torch.serialization.add_safe_globals(kept)
    assert 'does not read' in found.text
    assert not list(doctor.check_checkpoints(Machine()))


def test_gpu_that_torch_does_not_use() -> None:
    cuda = SimpleNamespace(is_available=lambda: False)
    machine = Machine(torch=SimpleNamespace(cuda=cuda))
    assert only(doctor.check_gpu(machine)).status == NOTE
    machine.driver = True
    assert 'pip install' in fault(doctor.check_gpu(machine)).remedy
    cuda.is_available, cuda.device_count = (lambda: True), (lambda: 1)
    cuda.get_device_name = lambda i: 'H100'
    assert only(doctor.check_gpu(machine)).text == 'H100'


@pytest.mark.parametrize(
    ('name', 'value', 'word'),
    [
        ('disk', GIB // 2, '--work-dir'),
        ('ram', GIB, '--workers 0'),
        ('shm', 64 * 2**20, '--shm-size'),
    ],
)
def test_little_space(name: str, value: int, word: str) -> None:
    machine = Machine()
    setattr(machine, name, value)
    assert word in fault(doctor.check_space(machine)).remedy


def test_this_machine_is_looked_at_whole() -> None:
    topics = {finding.topic for finding in doctor.examine()}
    assert {'Python', 'torch', 'operators', 'registry', 'disk'} <= topics


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('doctor') / 'coco'
    write_coco(folder, 4, seed=1, size=(96, 72), val_fraction=0.5)
    return folder


def config(root: Path) -> Config:
    """A config with official weights, and its data at a place."""
    cfg = load_config('lvt_dense::ssdlite_mobilevit_xxs_320_coco.py')
    set_data_root(cfg, str(root))
    return cfg


def test_config_with_data(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('LVT_DENSE_CACHE', str(tmp_path))
    monkeypatch.delenv('LVT_DENSE_PRETRAINED', raising=False)
    cfg = config(data)
    cfg.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint='official'
    )
    found = list(doctor.examine_config(lambda: cfg))
    start = found.pop()
    assert {finding.status for finding in found} == {OK}
    assert start.status == NOTE
    assert start.remedy.startswith('lvt-dense weights fetch ')


def test_config_without_data(tmp_path: Path) -> None:
    found = doctor.examine_config(lambda: config(tmp_path / 'none'))
    faults = [finding for finding in found if finding.status == FAULT]
    assert [f.topic for f in faults] == ['train data', 'val data', 'test data']
    assert all('--data-root' in finding.remedy for finding in faults)


def test_config_that_does_not_load() -> None:
    def load() -> Config:
        raise UserError('config none.py does not exist')

    assert 'none.py' in fault(doctor.examine_config(load)).text


def test_report_counts_faults(capsys: pytest.CaptureFixture[str]) -> None:
    good = Finding('torch', OK, '2.13')
    bad = Finding('numpy', FAULT, 'too old', 'pip install numpy')
    assert doctor.print_findings(iter([good])) == 0
    assert 'No fault' in capsys.readouterr().out
    assert doctor.print_findings(iter([good, bad])) == 1
    out = capsys.readouterr().out
    assert 'run: pip install numpy' in out
    assert '1 fault' in out


def test_command(
    data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'
    with pytest.raises(SystemExit) as stop:
        main('doctor', [name, '--data-root', str(tmp_path / 'none')])
    assert stop.value.code == 1
    out = capsys.readouterr().out
    assert 'train data' in out
    assert 'is not there' in out


def test_needs_the_standard_library_only() -> None:
    path = Path(doctor.__file__)
    blocked = ('torch', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmseg')
    with pytest.MonkeyPatch.context() as patch:
        for name in blocked:
            patch.setitem(__import__('sys').modules, name, None)
        names = runpy.run_path(str(path))
    assert 'examine' in names
