"""What the options of the command choose from."""

_OBJECTS = ('detection', 'instance', 'mono3d')
_ALL = (*_OBJECTS, 'semantic')
# What models each format can hold the results of.
FORMATS: dict[str, tuple[str, ...]] = {
    'pictures': _ALL,
    'video': _ALL,
    'json': _ALL,
    'csv': _ALL,
    'coco': ('detection', 'instance'),
    'yolo': ('detection', 'instance'),
    'kitti': _OBJECTS,
    'label-maps': ('semantic',),
    'crops': _OBJECTS,
}
DEFAULT_FORMATS = ('pictures', 'json')
MAX_DRAWN = 100  # objects of an image, as in `visualize`
# What becomes of boxes of one object, see `.tiles.Tiling`.
MERGES = ('nms', 'wbf')
