"""Predict with an exported model, without PyTorch and OpenMMLab.

This file stands alone: copied beside a model it needs numpy, Pillow, and
onnxruntime or openvino; for videos also OpenCV. ``python predictor.py MODEL
IMAGES`` runs it.
"""

import argparse
import colorsys
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from PIL.PngImagePlugin import PngInfo

KEY = 'lvt_dense'
SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}
VIDEOS = {'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg'}
_OPACITY = 0.5
# Corners of a 3D box that its edges join; 0 to 3 are the bottom.
_EDGES = (
    *((i + k, (i + 1) % 4 + k) for i in range(4) for k in (0, 4)),
    *((i, i + 4) for i in range(4)),
)


@dataclass
class Detection:
    """One object.

    Attributes:
        label: Name of its class.
        index: Index of its class.
        score: Confidence.
        box: x1, y1, x2, y2 in pixels of the image.
        mask: Pixels of the object, (H, W) bool, from models with masks.
        box_3d: x, y, z of the center of the bottom face in meters in camera
            coordinates, length, height, width in meters, and yaw in radians,
            from monocular 3D models.
    """

    label: str
    index: int
    score: float
    box: np.ndarray
    mask: np.ndarray | None = None
    box_3d: np.ndarray | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; of a mask its area in pixels."""
        out: dict[str, Any] = dict(
            label=self.label,
            score=round(self.score, 5),
            box=[round(float(v), 2) for v in self.box],
        )
        if self.mask is not None:
            out['mask_area'] = int(self.mask.sum())
        if self.box_3d is not None:
            out['box_3d'] = [round(float(v), 4) for v in self.box_3d]
        return out


class Predictor:
    """A model in a file.

    Args:
        path: ``.onnx`` file, or ``.xml`` file of OpenVINO.
        threads: Threads of the runtime; 0 leaves the choice to it.

    Raises:
        ValueError: The file is of no exported model.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ValueError(f'{path} does not exist')
        if self.path.suffix == '.xml':
            self.run, self.info = _open_openvino(self.path, threads)
        else:
            self.run, self.info = _open_onnx(self.path, threads)

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.info['classes']

    @property
    def palette(self) -> np.ndarray:
        """Color of each class, (C, 3) uint8."""
        colors = self.info.get('palette') or []
        count = max(len(self.classes), 1)
        if len(colors) < count:
            colors = [
                [int(255 * v) for v in colorsys.hsv_to_rgb(i / count, 0.8, 1)]
                for i in range(count)
            ]
        return np.array(colors, np.uint8)

    def predict(
        self,
        image: str | Path | Image.Image | np.ndarray,
        camera: np.ndarray | None = None,
        score_thr: float | None = None,
    ) -> list[Detection] | np.ndarray:
        """Predict on one image.

        Args:
            image: A file, a picture, or an array (H, W, 3) uint8 in RGB.
            camera: Projection matrix of the image, (3, 4) or (4, 4), which
                monocular 3D models need: KITTI's P2.
            score_thr: Lowest score of a detection; by default the model's.

        Returns:
            Detections by falling score; from semantic models the class of
            each pixel, (H, W) uint8 or int32.

        Raises:
            ValueError: The camera is missing or of another shape.
        """
        if self.info['task'] == 'raw':
            raise ValueError(
                f"{self.path} gives its heads' maps: export it without --raw"
            )
        array = to_array(image)
        network_input, scale = prepare(array, self.info)
        feed = {'image': network_input[None]}
        if 'size' in self.info.get('inputs', ()):
            feed['size'] = np.array([scale.size], np.int64)
        if 'camera' in self.info.get('inputs', ()):
            feed['camera'] = _camera(camera, scale)[None]
        outputs = {k: v[0] for k, v in self.run(feed).items()}
        if self.info['task'] == 'semantic':
            return _label_map(outputs['labels'], scale)
        if score_thr is None:
            score_thr = float(self.info.get('score_thr', 0.3))
        return list(self._detections(outputs, scale, score_thr))

    def _detections(
        self, outputs: dict[str, np.ndarray], scale: 'Scale', score_thr: float
    ) -> Iterator[Detection]:
        for i in np.flatnonzero(outputs['scores'] >= max(score_thr, 1e-6)):
            factor = np.tile(scale.factor, 2)
            box = outputs['boxes'][i] / factor
            if 'boxes_3d' in outputs:
                # As in `_camera`: pixels count from their centers.
                box = box + (1 - factor) / 2 / factor
            index, score = int(outputs['labels'][i]), outputs['scores'][i]
            name = self.classes[index] if self.classes else str(index)
            found = Detection(name, index, float(score), box)
            if 'masks' in outputs:
                found.mask = paste_mask(
                    outputs['masks'][i], box, scale.original
                )
            if 'boxes_3d' in outputs:
                found.box_3d = outputs['boxes_3d'][i]
            yield found

    def draw(
        self,
        image: str | Path | Image.Image | np.ndarray,
        found: list[Detection] | np.ndarray,
        camera: np.ndarray | None = None,
    ) -> Image.Image:
        """Draw a prediction over its image."""
        array = to_array(image)
        palette = self.palette
        if isinstance(found, np.ndarray):
            known = found < len(palette)
            colors = palette[np.where(known, found, 0)]
            return Image.fromarray(_blend(array, known, colors))
        for item in found:
            if item.mask is not None:
                color = palette[item.index % len(palette)]
                array = _blend(array, item.mask, color)
        picture = Image.fromarray(array)
        pen = ImageDraw.Draw(picture)
        for item in reversed(found):
            color = tuple(palette[item.index % len(palette)])
            _draw_item(pen, item, color, camera)
        return picture


@dataclass
class Scale:
    """How an image became the network's.

    Attributes:
        original: Height and width of the image.
        size: Height and width of the image's content in the network's input.
    """

    original: tuple[int, int]
    size: tuple[int, int]

    @property
    def factor(self) -> np.ndarray:
        """Ratios of width and height, network over image."""
        return np.array(self.size[::-1]) / np.array(self.original[::-1])


def to_array(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 in RGB, turned as its EXIF says."""
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f'an array of shape {image.shape} and type {image.dtype}; '
                'give (H, W, 3) uint8 in RGB'
            )
        return image
    if isinstance(image, (str, Path)):
        with Image.open(image) as opened:
            return to_array(opened)
    return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))


def prepare(array: np.ndarray, info: dict) -> tuple[np.ndarray, Scale]:
    """Resize and pad an image as the model's metadata say.

    Args:
        array: Image, (H, W, 3) uint8 in RGB.
        info: Metadata of the model.

    Returns:
        The network's input, (H', W', 3) uint8 in its channel order, and how
        it relates to the image.
    """
    original = array.shape[:2]
    size = content_size(original, info)
    content = resize_bilinear(array, size)
    if info['color'] == 'bgr':
        content = content[..., ::-1]
    divisor = int(info.get('divisor') or 1)
    canvas = info['size'] or [-(-s // divisor) * divisor for s in size]
    padded = np.zeros((*canvas, 3), np.uint8)
    padded[: size[0], : size[1]] = content
    return padded, Scale(original, size)


def content_size(original: Sequence[int], info: dict) -> tuple[int, int]:
    """Return height and width that an image is resized to."""
    fixed = info['size']
    if info['resize'] == 'stretch':
        return tuple(fixed or info['scale'][::-1])
    height, width = original
    factor = 1.0
    if info['resize'] == 'fit':
        longer, shorter = max(info['scale']), min(info['scale'])
        factor = min(longer / max(original), shorter / min(original))
    if fixed:
        factor = min(factor, fixed[0] / height, fixed[1] / width)
    return int(height * factor + 0.5), int(width * factor + 0.5)


def resize_bilinear(array: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resize (H, W, C) uint8 bilinearly without smoothing, as in training."""
    if tuple(array.shape[:2]) == tuple(size):
        return array
    out = array.astype(np.float32)
    for axis, new in enumerate(size):
        position = (np.arange(new) + 0.5) * array.shape[axis] / new - 0.5
        out = _sample(out.swapaxes(0, axis), position).swapaxes(0, axis)
    return (out + 0.5).astype(np.uint8)


def paste_mask(
    mask: np.ndarray, box: np.ndarray, shape: Sequence[int]
) -> np.ndarray:
    """Sample the mask of a box at the pixels of an image.

    Args:
        mask: Probabilities in the cells of the box, (S, S).
        box: x1, y1, x2, y2 in pixels.
        shape: Height and width of the image.

    Returns:
        Pixels with a probability of at least 0.5, (H, W) bool.
    """
    out = np.zeros(shape, bool)
    x1, y1, x2, y2 = box
    left, top = max(int(np.floor(x1)), 0), max(int(np.floor(y1)), 0)
    right = min(int(np.ceil(x2)), shape[1])
    bottom = min(int(np.ceil(y2)), shape[0])
    if right <= left or bottom <= top:
        return out
    padded = np.pad(mask, 1)
    rows = (np.arange(top, bottom) + 0.5 - y1) / max(y2 - y1, 1e-6)
    columns = (np.arange(left, right) + 0.5 - x1) / max(x2 - x1, 1e-6)
    rows, columns = rows * len(mask) + 0.5, columns * len(mask) + 0.5
    value = _sample(_sample(padded, rows).T, columns).T
    out[top:bottom, left:right] = value >= 0.5
    return out


def _sample(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate rows of (R, ...) at positions."""
    position = position.clip(0, len(values) - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    weight = (position - low).astype(values.dtype)
    weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - weight) + values[high] * weight


def _label_map(labels: np.ndarray, scale: Scale) -> np.ndarray:
    """Cut the padding off, and give each pixel its nearest label."""
    labels = labels[: scale.size[0], : scale.size[1]]
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for old, new in zip(scale.size, scale.original)
    )
    out = labels[rows][:, columns]
    return out.astype(np.uint8) if out.max(initial=0) < 256 else out


def _camera(camera: np.ndarray | None, scale: Scale) -> np.ndarray:
    """Fit a projection matrix to the network's image, (4, 4) float32."""
    if camera is None:
        raise ValueError(
            'a monocular 3D model needs the projection matrix of the image: '
            "give camera, (3, 4), as KITTI's P2"
        )
    camera = np.asarray(camera, np.float64)
    if camera.shape not in ((3, 4), (4, 4)):
        raise ValueError(f'camera has shape {camera.shape}; give (3, 4)')
    full = np.eye(4)
    full[: len(camera)] = camera
    # Pixel i covers [i - 1/2, i + 1/2].
    fit = np.diag([*scale.factor, 1.0, 1.0])
    fit[:2, 2] = (scale.factor - 1) / 2
    return (fit @ full).astype(np.float32)


def _blend(array: np.ndarray, where: np.ndarray, color: Any) -> np.ndarray:
    mixed = _OPACITY * array + (1 - _OPACITY) * color
    return np.where(where[..., None], mixed, array).astype(np.uint8)


def _draw_item(pen: Any, item: Detection, color: Any, camera: Any) -> None:
    if item.box_3d is not None and camera is not None:
        corners = project_corners(item.box_3d, np.asarray(camera))
        if corners is not None:
            for i, j in _EDGES:
                pen.line([*corners[i], *corners[j]], fill=color, width=2)
    else:
        pen.rectangle([float(v) for v in item.box], outline=color, width=2)
    text = f'{item.label} {item.score:.2f}'
    x, y = float(item.box[0]) + 2, max(float(item.box[1]) - 12, 0)
    pen.rectangle(pen.textbbox((x, y), text), fill=color)
    pen.text((x, y), text, fill=(0, 0, 0))


def project_corners(box: np.ndarray, camera: np.ndarray) -> np.ndarray | None:
    """Project a 3D box's corners, (8, 2) pixels; None if one lies behind."""
    x, y, z, length, height, width, yaw = map(float, box)
    along = np.array([1, 1, -1, -1] * 2) * length / 2
    across = np.array([1, -1, -1, 1] * 2) * width / 2
    up = np.repeat([0.0, -height], 4)
    cos, sin = np.cos(yaw), np.sin(yaw)
    aside = x + cos * along + sin * across
    ahead = z - sin * along + cos * across
    points = np.stack([aside, y + up, ahead, np.ones(8)])
    u, v, depth = (camera[:3] @ points)[:3]
    if (depth <= 0.1).any():
        return None
    return np.stack([u / depth, v / depth], 1)


def _open_onnx(path: Path, threads: int) -> tuple[Any, dict]:
    onnxruntime = _require('onnxruntime', path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # the runtime's own classes
        raise ValueError(f'{path} is no readable ONNX model') from error
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    info = _parse(text, path)
    info['inputs'] = [i.name for i in session.get_inputs()]
    names = [o.name for o in session.get_outputs()]

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, feed)))

    return run, info


def _open_openvino(path: Path, threads: int) -> tuple[Any, dict]:
    core = _require('openvino', path).Core()
    model = core.read_model(path)
    text = None
    if model.has_rt_info(KEY):
        text = model.get_rt_info(KEY).astype(str)
    info = _parse(text, path)
    info['inputs'] = [i.any_name for i in model.inputs]
    return compile_openvino(core, model, info.get('precision'), threads), info


def compile_openvino(
    core: Any, model: Any, precision: str | None, threads: int = 0
) -> Any:
    """Return what runs a model of OpenVINO on the CPU.

    It is compiled for the number of images of the first call, and again when
    that changes: OpenVINO fuses less in a model of any number.
    """
    hint = 'bf16' if precision == 'bf16' else 'f32'
    config = dict(INFERENCE_PRECISION_HINT=hint, INFERENCE_NUM_THREADS=threads)
    # Compiled outputs may also bear names of operators that were left out.
    names = [o.any_name for o in model.outputs]
    shapes = {i.any_name: list(i.partial_shape) for i in model.inputs}
    compiled: dict[int, Any] = {}

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch = len(next(iter(feed.values())))
        if batch not in compiled:
            compiled.clear()
            fixed = model.clone()
            fixed.reshape({n: [batch, *s[1:]] for n, s in shapes.items()})
            compiled[batch] = core.compile_model(fixed, 'CPU', config)
        found = compiled[batch](dict(feed))
        return {name: found[i] for i, name in enumerate(names)}

    return run


def _require(name: str, path: Path, package: str = '') -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # compiled packages raise errors of all kinds
        package = package or name
        missing = getattr(error, 'name', None) or ''
        if missing.partition('.')[0] == name:
            reason = f'which is not installed: pip install {package}'
        else:
            reason = f'which cannot be imported: {error}'
        raise ValueError(f'{path} needs {package}, {reason}') from error


def _parse(text: str | None, path: Path) -> dict:
    if not text:
        raise ValueError(
            f'{path} has no metadata of lvt_dense: export it with '
            '`lvt-dense export`'
        )
    return json.loads(text)


def list_images(source: str | Path) -> list[Path]:
    """Return the images of a folder and below, or the one file.

    Raises:
        ValueError: There is none.
    """
    source = Path(source)
    if not source.exists():
        raise ValueError(f'{source} does not exist')
    if source.is_file():
        return [source]
    images = (p for p in source.rglob('*') if p.suffix.lower() in SUFFIXES)
    found = sorted(
        p for p in images if p.name[0] != '.' and not is_own_picture(p)
    )
    if not found:
        raise ValueError(f'{source} holds no image')
    return found


def read_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Read the frames of a video, (H, W, 3) uint8 in RGB each.

    Raises:
        ValueError: OpenCV is missing, or cannot read the video.
    """
    cv2 = _require('cv2', Path(path), 'opencv-python')
    video, count = cv2.VideoCapture(str(path)), 0
    while (grabbed := video.read())[0]:
        count += 1
        yield np.ascontiguousarray(grabbed[1][..., ::-1])
    if not count:
        raise ValueError(f'{path} is no readable video')


def _frames(source: Path) -> Iterator[tuple[Path, Any]]:
    """Yield a name, and an image: a file, or a frame of a video."""
    if source.suffix.lower() in VIDEOS:
        for number, frame in enumerate(read_frames(source)):
            yield Path(f'{source.name}.{number:06}'), frame
    else:
        base = source if source.is_dir() else source.parent
        for path in list_images(source):
            yield path.relative_to(base), path


def read_camera(path: str | Path) -> np.ndarray:
    """Read P2 from a calibration file of KITTI, (3, 4).

    Raises:
        ValueError: The file has no line P2 of twelve numbers.
    """
    for line in Path(path).read_text('utf-8-sig').splitlines():
        name, _, values = line.partition(':')
        numbers = values.split()
        if name.strip() == 'P2' and len(numbers) == 12:
            return np.array(numbers, np.float64).reshape(3, 4)
    raise ValueError(f'{path} has no line "P2:" with twelve numbers')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('model', help='.onnx file, or .xml file of OpenVINO')
    parser.add_argument('images', help='an image, a folder, or a video')
    parser.add_argument('--out', default='predictions', help='output folder')
    parser.add_argument(
        '--camera', help="calibration file with KITTI's P2, for 3D models"
    )
    parser.add_argument('--score-thr', type=float, help='lowest score')
    parser.add_argument('--threads', type=int, default=0, help='0: all cores')


def run(args: argparse.Namespace) -> int:
    """Predict on images, and write pictures and ``predictions.json``.

    Returns:
        0, or 2 where an input cannot be used.
    """
    out, source = Path(args.out), Path(args.images)
    records, failures = [], 0
    try:
        model = Predictor(args.model, args.threads)
        camera = read_camera(args.camera) if args.camera else None
        for name, image in _frames(source):
            origin = image if isinstance(image, Path) else name
            target = out / name.with_name(f'{name.name}.png')
            try:
                found = model.predict(image, camera, args.score_thr)
                _save(model.draw(image, found, camera), target)
            except (OSError, ValueError) as error:
                print(f'error: {origin}: {error}', file=sys.stderr)
                failures += 1
                continue
            records.append(_record(origin, target, found, model.classes))
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    partial = out / 'predictions.json.partial'
    partial.write_text(json.dumps(records, indent=1) + '\n')
    partial.replace(out / 'predictions.json')
    count = len(records)
    print(f'{count} of {count + failures} images: pictures in {out}')
    return 2 if failures else 0


def _save(picture: Image.Image, target: Path) -> None:
    """Write a picture whole, and over no file but an earlier picture."""
    if target.exists() and not is_own_picture(target):
        raise ValueError(
            f'{target} is in the way, and no picture of an earlier run: '
            'choose another --out'
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = PngInfo()
    mark.add_text('Software', KEY)
    partial = target.with_name(f'{target.name}.partial')
    picture.save(partial, format='png', pnginfo=mark)
    partial.replace(target)


def is_own_picture(path: Path) -> bool:
    """Whether a file is a picture of an earlier run."""
    try:
        with Image.open(path) as image:
            return image.info.get('Software') == KEY
    except OSError:
        return False


def _record(
    path: Path, picture: Path, found: Any, classes: Sequence[str]
) -> dict[str, Any]:
    record: dict[str, Any] = dict(image=str(path), picture=str(picture))
    if isinstance(found, np.ndarray):
        values, counts = np.unique(found, return_counts=True)
        names = (classes[v] if v < len(classes) else str(v) for v in values)
        record['pixels'] = dict(zip(names, counts.tolist()))
    else:
        record['objects'] = [item.as_dict() for item in found]
    return record


if __name__ == '__main__':
    main_parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(main_parser)
    sys.exit(run(main_parser.parse_args()))
