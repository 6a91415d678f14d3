"""RoIAlign (He et al., https://arxiv.org/abs/1703.06870).

A bin is the mean of bilinear samples on a grid, and the grid is the product
of a column of y and a row of x. So the weights of the pixels of a bin are the
product of a weight a row and a weight a column, and a pixel that several
samples touch is read once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lvt_dense.ops import kernels
from lvt_dense.ops.sampling import (
    Bags,
    as_table,
    compute_dtype,
    spread_bags,
    start_of_each,
    sum_bags,
)

_MAX_ENTRIES = 1 << 21  # weights at a time: bounds the memory

MAX_POOL, AVG_POOL = 0, 1


@dataclass
class _Axis:
    """The samples of every bin along one axis; P bins, S samples at most.

    Attributes:
        low: (N, P, S), the lower neighbor of a sample, int64.
        high: (N, P, S), the upper neighbor.
        fraction: (N, P, S), the weight of the upper neighbor.
        inside: (N, P, S), False for samples that count as 0.
        position: (N, P, S), the samples, in pixels.
        grid: (N,), the number of samples a bin.
        reach: (N, P), pixels from the first sample's to the last one's.
        width: The largest of them.
    """

    low: Tensor
    high: Tensor
    fraction: Tensor
    inside: Tensor
    position: Tensor
    grid: Tensor
    reach: Tensor
    width: int

    @property
    def is_sparse(self) -> bool:
        """Whether samples are so far apart that most pixels are not read."""
        return self.width > 2 * self.low.size(2)

    def entries(self) -> Tensor:
        """Return how many pixels each bin reads, (N, P)."""
        if self.is_sparse:
            return torch.full_like(self.reach, 2 * self.low.size(2))
        return self.reach


def neighbors(
    position: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find the pixels around samples along one axis.

    Args:
        position: (...), in pixels.
        size: Of the map.

    Returns:
        The lower and the upper neighbor, the weight of the upper one, and
        which samples are inside of the map; all (...).
    """
    inside = (position >= -1) & (position <= size)
    clamped = position.clamp(min=0, max=size)
    low = clamped.long().clamp_(0, size - 1)
    last = low == size - 1
    fraction = (clamped - low).masked_fill_(last, 0)
    return low, (low + 1).clamp_(max=size - 1), fraction, inside


class _Line:
    """The bins of every region along one axis, before they are sampled.

    Each region lies between `begin` and `end`, (N,).
    """

    def __init__(
        self,
        begin: Tensor,
        end: Tensor,
        bins: int,
        size: int,
        ratio: int,
        aligned: bool,
    ) -> None:
        length = end - begin
        if not aligned:
            length = length.clamp(min=1)
        self.size, self.bin_size = size, length / bins
        if ratio > 0:
            self.grid = torch.full_like(length, ratio, dtype=torch.long)
        else:
            self.grid = self.bin_size.ceil().long()
        place = torch.arange(bins, device=begin.device)
        self.origin = begin[:, None] + place * self.bin_size[:, None]
        steps = self.grid.clamp(min=1)[:, None] - 1
        first = neighbors(self._place(torch.zeros_like(steps)), size)[0]
        last = neighbors(self._place(steps), size)[1]
        self.reach = (last - first + 1).clamp_(min=1).squeeze(2)

    def _place(self, step: Tensor) -> Tensor:
        """Place samples in every bin, by their numbers (S,) or (N, S)."""
        # The order of operations of the compiled operator: a sample next to
        # the border must fall on the same side of it.
        grid = self.grid.clamp(min=1)[:, None]
        within = (step + 0.5) * self.bin_size[:, None] / grid
        return self.origin[:, :, None] + within[:, None]

    def sample(self, most: int, width: int) -> _Axis:
        """Place the samples; `most` of a bin, in `width` pixels at most."""
        step = torch.arange(max(most, 1), device=self.grid.device)
        position = self._place(step)
        low, high, fraction, inside = neighbors(position, self.size)
        inside &= (step < self.grid[:, None])[:, None]
        axis = low, high, fraction, inside, position
        return _Axis(*axis, self.grid, self.reach, width)


def _merge(axis: _Axis) -> tuple[Tensor, Tensor, Tensor]:
    """Sum the weights of each pixel that a bin touches.

    Returns:
        Pixels (N, P, K), their weights (N, P, K), and how many of the K a bin
        uses, (N, P); the others have no weight.
    """
    scale = axis.inside / axis.grid.clamp(min=1)[:, None, None]
    scale = scale.to(axis.fraction.dtype)
    low_weight = (1 - axis.fraction) * scale
    high_weight = axis.fraction * scale
    if axis.is_sparse:
        pixels = torch.cat([axis.low, axis.high], 2)
        weights = torch.cat([low_weight, high_weight], 2)
        return pixels, weights, axis.entries()
    first, width = axis.low[:, :, :1], axis.width
    weights = low_weight.new_zeros(*axis.reach.shape, width)
    for pixel, weight in ((axis.low, low_weight), (axis.high, high_weight)):
        place = (pixel - first).clamp_(0, width - 1)
        weights.scatter_add_(2, place, weight)
    pixels = first + torch.arange(width, device=first.device)
    return pixels, weights, axis.entries()


class _Regions:
    """Regions on the maps, and the sampling grid in each of them.

    The host waits for the device once, for all that it has to know.
    """

    def __init__(
        self,
        rois: Tensor,
        map_size: tuple[int, int],
        bins: tuple[int, int],
        scale: float,
        ratio: int,
        aligned: bool,
    ) -> None:
        self.map_size, self.bins = map_size, bins
        rois = rois.to(compute_dtype(rois.dtype))
        self.image = rois[:, 0].long()
        x1, y1, x2, y2 = (rois[:, 1:] * scale - 0.5 * aligned).unbind(1)
        y = _Line(y1, y2, bins[0], map_size[0], ratio, aligned)
        x = _Line(x1, x2, bins[1], map_size[1], ratio, aligned)
        is_negative = ((x2 < x1) | (y2 < y1)).any()
        bounds = y.grid.max(), y.reach.max(), x.grid.max(), x.reach.max()
        sums = y.reach.sum(1), x.reach.sum(1)
        facts = torch.cat([torch.stack([is_negative, *bounds]), *sums])
        negative, *limits = facts.tolist()
        if aligned and negative:
            raise RuntimeError('RoIAlign: a region has a negative size.')
        self.y, self.x = y.sample(*limits[:2]), x.sample(*limits[2:4])
        n = len(rois)
        self._reads = [
            self._count(self.y, rows) * self._count(self.x, columns)
            for rows, columns in zip(limits[4 : 4 + n], limits[4 + n :])
        ]

    def _count(self, axis: _Axis, reach: int) -> int:
        """Return how many pixels a region reads along an axis."""
        if axis.is_sparse:
            return axis.reach.size(1) * 2 * axis.low.size(2)
        return reach

    def bags(self) -> Iterator[tuple[slice, Bags]]:
        """Yield slices of the regions with the bags of their bins."""
        ys, xs = _merge(self.y), _merge(self.x)
        start, total = 0, 0
        for n, reads in enumerate(self._reads):
            total += reads
            following = self._reads[n + 1 : n + 2]
            if not following or total + following[0] > _MAX_ENTRIES:
                part = slice(start, n + 1)
                yield part, self._bags_of(part, ys, xs, total)
                start, total = n + 1, 0

    def _bags_of(
        self,
        part: slice,
        ys: tuple[Tensor, ...],
        xs: tuple[Tensor, ...],
        total: int,
    ) -> Bags:
        (row, row_weight, rows), (col, col_weight, cols) = (
            [t[part] for t in axis] for axis in (ys, xs)
        )
        device = row.device
        lengths = (rows[:, :, None] * cols[:, None]).flatten()
        starts = start_of_each(lengths)
        bag = torch.arange(len(lengths), device=device)
        owners = bag.repeat_interleave(lengths, output_size=total)
        entry = torch.arange(total, device=device) - starts[owners]

        # the place in `row` and in `col` where each bag begins
        p, q = row.size(1), col.size(1)
        n = bag // (p * q)
        row_base = (bag // q) * row.size(2)
        col_base = (n * q + bag % q) * col.size(2)
        width = cols.flatten()[n * q + bag % q]
        r = entry // width[owners]
        c = entry - r * width[owners] + col_base[owners]
        r += row_base[owners]

        height, wide = self.map_size
        rows = (self.image[part, None, None] * height + row) * wide
        pixels = rows.flatten()[r] + col.flatten()[c]
        weights = row_weight.flatten()[r] * col_weight.flatten()[c]
        return Bags(pixels, weights, starts, owners)


def _pool_planes(maps: Tensor, regions: _Regions, output: Tensor) -> None:
    """Write the means of maps with one channel, such as masks.

    The rows and columns of a region are read and weighted one after the
    other: large masks are not turned into a table, of which little is read.
    """
    ys, xs = _merge(regions.y), _merge(regions.x)
    height, width = regions.map_size
    rows = ys[0].flatten(1).clamp(max=height - 1)
    columns = xs[0].flatten(1).clamp(max=width - 1)
    row_weights, column_weights = ys[1].flatten(1), xs[1].flatten(1)
    step = max(1, _MAX_ENTRIES * 8 // (rows.size(1) * columns.size(1)))
    for start in range(0, len(output), step):
        part = slice(start, start + step)
        image = regions.image[part, None, None]
        values = maps[image, 0, rows[part, :, None], columns[part, None]]
        values = values.to(row_weights.dtype) * row_weights[part, :, None]
        values = values.unflatten(1, (regions.bins[0], -1)).sum(2)
        values = values * column_weights[part, None]
        pooled = values.unflatten(2, (regions.bins[1], -1)).sum(3)
        output[part, 0] = pooled.to(output.dtype)


def _sample_values(
    maps: Tensor, regions: _Regions, n: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each sample of region `n`: (P, Q, S, C), and its y and x."""
    y, x = regions.y, regions.x
    grid = [slice(0, max(int(axis.grid[n]), 0)) for axis in (y, x)]
    one = maps[regions.image[n]].to(y.fraction.dtype)

    def lines(axis: _Axis, part: slice, dim: int) -> Tensor:
        f = axis.fraction[n, :, part].flatten()
        ok = axis.inside[n, :, part].flatten()
        shape = [1, 1, 1]
        shape[dim] = -1
        low, high = ((1 - f) * ok).view(shape), (f * ok).view(shape)
        at_low = source.index_select(dim, axis.low[n, :, part].flatten())
        at_high = source.index_select(dim, axis.high[n, :, part].flatten())
        return at_low * low + at_high * high

    source = one
    source = lines(y, grid[0], 1)
    values = lines(x, grid[1], 2)
    p, q = regions.bins
    values = values.view(maps.size(1), p, grid[0].stop, q, grid[1].stop)
    values = values.permute(1, 3, 2, 4, 0).flatten(2, 3)
    ys = y.position[n, :, None, grid[0], None]
    xs = x.position[n, None, :, None, grid[1]]
    ys, xs = torch.broadcast_tensors(ys, xs)
    return values, ys.flatten(2), xs.flatten(2)


def _max_forward(
    maps: Tensor,
    regions: _Regions,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
) -> None:
    """Write the largest sample of each bin, and where it lies."""
    for n in range(output.size(0)):
        values, ys, xs = _sample_values(maps, regions, n)
        if not values.size(2):  # a region without samples
            output[n], argmax_y[n], argmax_x[n] = -10000, -1, -1
            continue
        best, index = values.max(2)
        # the compiled operator begins its search at -10000
        none = best <= -10000
        best = best.clamp(min=-10000)
        output[n] = best.permute(2, 0, 1).to(output.dtype)
        for place, out in ((ys, argmax_y), (xs, argmax_x)):
            where = place.gather(2, index).masked_fill(none, -1)
            out[n] = where.permute(2, 0, 1).to(out.dtype)


def _uses_kernel(maps: Tensor) -> bool:
    return kernels.uses_torchvision('roi_align', maps.device.type)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the pooled values of each region.

    Args:
        input: (B, C, H, W).
        rois: (N, 5), the image in the batch and x1, y1, x2, y2.
        output: (N, C, P, Q), written.
        argmax_y: (N, C, P, Q), written with max pooling: the y of the sample.
        argmax_x: (N, C, P, Q), the x of the sample.
        aligned_height: P.
        aligned_width: Q.
        spatial_scale: From the coordinates of `rois` to pixels of `input`.
        sampling_ratio: Samples a bin and axis; 0 for one a pixel.
        pool_mode: 0 for the largest sample, 1 for the mean.
        aligned: Whether the regions are shifted by half a pixel.

    Raises:
        RuntimeError: A region has a negative size and `aligned` is true.
    """
    if output.numel() == 0:
        return
    bins = (aligned_height, aligned_width)
    if pool_mode == AVG_POOL and _uses_kernel(input):
        pooled = kernels.roi_align(
            input, rois, bins, spatial_scale, sampling_ratio, aligned
        )
        output.copy_(pooled)
        return
    size = (input.size(2), input.size(3))
    regions = _Regions(
        rois, size, bins, spatial_scale, sampling_ratio, aligned
    )
    if pool_mode == MAX_POOL:
        _max_forward(input, regions, output, argmax_y, argmax_x)
        return
    if input.size(1) == 1:
        _pool_planes(input, regions, output)
        return
    table = as_table(input)
    for part, bags in regions.bags():
        pooled = sum_bags(table, bags).unflatten(0, (-1, *bins))
        output[part] = pooled.permute(0, 3, 1, 2).to(output.dtype)


def _max_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
) -> None:
    """Hand each gradient to the four neighbors of the largest sample."""
    _, channels, height, width = grad_input.shape
    plane = rois[:, 0].long()[:, None] * channels
    plane = plane + torch.arange(channels, device=rois.device)
    base = plane[:, :, None, None] * (height * width)
    wide = compute_dtype(argmax_y.dtype)
    y, x = argmax_y.to(wide), argmax_x.to(wide)
    y_low, y_high, fy, y_in = neighbors(y, height)
    x_low, x_high, fx, x_in = neighbors(x, width)
    grad = grad_output.to(wide) * (y_in & x_in & (y != -1))
    flat = torch.zeros(grad_input.numel(), dtype=wide, device=grad.device)
    for row, row_weight in ((y_low, 1 - fy), (y_high, fy)):
        for col, col_weight in ((x_low, 1 - fx), (x_high, fx)):
            share = (grad * row_weight * col_weight).flatten()
            flat.index_add_(0, (base + row * width + col).flatten(), share)
    grad_input += flat.view_as(grad_input)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of the pooled values to that of the maps.

    Args:
        grad_output: (N, C, P, Q).
        rois: (N, 5), the image in the batch and x1, y1, x2, y2.
        argmax_y: (N, C, P, Q), from the forward with max pooling.
        argmax_x: (N, C, P, Q).
        grad_input: (B, C, H, W), added to.
        aligned_height: P.
        aligned_width: Q.
        spatial_scale: From the coordinates of `rois` to pixels of the maps.
        sampling_ratio: Samples a bin and axis; 0 for one a pixel.
        pool_mode: 0 for the largest sample, 1 for the mean.
        aligned: Whether the regions are shifted by half a pixel.
    """
    if grad_output.numel() == 0:
        return
    if pool_mode == MAX_POOL:
        _max_backward(grad_output, rois, argmax_y, argmax_x, grad_input)
        return
    bins = (aligned_height, aligned_width)
    if _uses_kernel(grad_input):
        size = grad_input.shape
        settings = bins, spatial_scale, sampling_ratio, aligned
        grad_input += kernels.roi_align_backward(
            grad_output, rois, size, *settings
        )
        return
    batch, channels, height, width = grad_input.shape
    regions = _Regions(
        rois, (height, width), bins, spatial_scale, sampling_ratio, aligned
    )
    wide = compute_dtype(grad_input.dtype)
    table = grad_input.new_zeros(batch * height * width, channels, dtype=wide)
    for part, bags in regions.bags():
        spread_bags(as_table(grad_output[part]), bags, table)
    grad_maps = table.view(batch, height, width, channels)
    grad_input += grad_maps.permute(0, 3, 1, 2)
