"""Read the checkpoint of a detector or segmenter, in any layout."""

import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lvt_dense.checkpoints.layout import Layout
from lvt_dense.checkpoints.read import Checkpoint, read_checkpoint
from lvt_dense.checkpoints.whole import identify_whole
from lvt_dense.utils.files import write_atomically

# Where MMEngine finds the tensors of a checkpoint by itself.
_PLAIN = ('', 'state_dict')


@dataclass(frozen=True)
class ModelFile:
    """The checkpoint of a detector or segmenter.

    Attributes:
        checkpoint: The file, and what was taken off.
        state: Tensors by our keys.
        layout: The official layout that they were in; None for our own.
        unknown: Official keys that were left out.
    """

    checkpoint: Checkpoint
    state: dict[str, Tensor]
    layout: Layout | None = None
    unknown: tuple[str, ...] = ()

    def plain_path(self, folder: str | Path) -> Path:
        """Return a file of these tensors that MMEngine can read.

        Args:
            folder: Where one is written, if the file itself is none.
        """
        found = self.checkpoint
        is_plain = found.wrapper in _PLAIN and not found.prefix
        if self.layout is None and is_plain:
            return found.path
        content = io.BytesIO()
        meta = dict(source=str(found))
        torch.save(dict(meta=meta, state_dict=self.state), content)
        path = Path(folder, f'{found.path.name.split(".")[0]}_plain.pth')
        write_atomically(path, content.getvalue())
        return path

    def __str__(self) -> str:
        layout = f' ({self.layout.name} layout)' if self.layout else ''
        return f'{self.checkpoint}{layout}'


def read_model_file(source: str | Path) -> ModelFile:
    """Read the checkpoint of a whole model.

    Args:
        source: A file, URL or the like, see
            :func:`lvt_dense.checkpoints.locate.locate`. Official files of
            known layouts are converted.

    Raises:
        UserError: The file cannot be had or read.
    """
    found = read_checkpoint(source)
    layout = identify_whole(found.state)
    if layout is None:
        return ModelFile(found, found.state)
    own, unknown = layout.to_own(found.state)
    return ModelFile(found, own, layout, tuple(unknown))
