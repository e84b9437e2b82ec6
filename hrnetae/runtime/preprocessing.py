"""A picture as the accelerator's vdsp operators hand it to the network, and where it lies there.

Whatever memory layout the file names for the input, the pictures given here are RGB planes. BGR888 says that the
operator starts from BGR: the channels are exchanged first, and ColorCvtCode then applies as it does there.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.errors import DataError
from hrnetae.files.vdsp import LETTERBOX, RESIZE_CROP, SHORT_EDGE_CROP, VdspParams
from hrnetae.geometry import MOST_PIXELS, Letterbox, Size, scaled
from hrnetae.runtime.pixels import Planes, check_planes, look_up, place

# BILINEAR_CV and BILINEAR_PILLOW name the library whose result they give; plain BILINEAR is taken for OpenCV's.
_METHODS = MappingProxyType(
    {"BILINEAR_CV": "cv2_bilinear", "BILINEAR": "cv2_bilinear", "BILINEAR_PILLOW": "pillow_bilinear"}
)


class Preprocessor:
    """Resizes, places, orders the channels and normalises. May be used from many threads.

    params: as `hrnetae.files.vdsp.read_vdsp_params` gives them.
    input_size: (width, height) of the network's input.
    Errors: DataError, which names the file, for sizes that do not fit this network.
    """

    def __init__(self, params: VdspParams, input_size: Size) -> None:
        self.params = params
        self.input_size = input_size
        self.warnings = params.warnings
        self._method = _METHODS[params.resize_type]
        self._swap = params.output_channels == "BGR"
        self._border = params.padding[::-1] if self._swap else params.padding
        self._tables = normalisation_tables(params)
        self._check_sizes()

    def __call__(self, picture: Planes) -> NDArray[np.float32]:
        """The network's input of one picture.

        picture: uint8 (3, H, W), RGB; any memory order; not written to.
        Returns float32 (3, height, width) of the network's input.
        Errors: TypeError, ValueError for another array; DataError where a crop does not fit into the picture.
        """
        out = np.empty((3, self.input_size[1], self.input_size[0]), np.float32)
        self.write_into(picture, out)
        return out

    def write_into(self, picture: Planes, out: NDArray[np.float32]) -> None:
        """The same, written into ``out``, one picture's place in a batch: float32 (3, height, width), contiguous."""
        check_planes(picture)
        where = self.geometry((picture.shape[2], picture.shape[1]))
        planes = picture[::-1] if self._swap else picture
        placed = place(planes, self.input_size, where.left, where.top, where.resized, self._method, self._border)
        look_up(placed, self._tables, out)

    def geometry(self, image_size: Size) -> Letterbox:
        """Where a picture of (width, height) ``image_size`` lies in the network's input.

        Errors: DataError where a crop does not fit into the picture.
        """
        params = self.params
        if params.kind == LETTERBOX:
            return self._letterbox(image_size)
        if params.kind == RESIZE_CROP:
            width, height = params.resize_size
            return self._cropped(image_size, (width or self.input_size[0], height or self.input_size[1]))
        if params.kind == SHORT_EDGE_CROP:
            return self._cropped(image_size, scaled(image_size, (params.short_edge or 0) / min(image_size)))
        return Letterbox(image_size, self.input_size, self.input_size, 0, 0)

    def _letterbox(self, image_size: Size) -> Letterbox:
        """In the middle, unless the file gives the border's widths (then they hold, and the picture fills the rest)."""
        edges, resize = self.params.edges, self.params.resize_size
        if edges is None and resize == (None, None):
            return Letterbox.fit(image_size, self.input_size)
        left, right, top, bottom = edges or (0, 0, 0, 0)
        width = resize[0] or self.input_size[0] - left - right
        height = resize[1] or self.input_size[1] - top - bottom
        if edges is None:
            left, top = (self.input_size[0] - width) // 2, (self.input_size[1] - height) // 2
        return Letterbox(image_size, self.input_size, (width, height), left, top)

    def _cropped(self, image_size: Size, resized: Size) -> Letterbox:
        if resized[0] * resized[1] > MOST_PIXELS:
            raise DataError(
                f"{self.params.path}: a picture of {_by(image_size)} resized to {_by(resized)}, expected at most "
                f"{MOST_PIXELS} pixels"
            )
        room = resized[0] - self.input_size[0], resized[1] - self.input_size[1]
        x, y = (room[axis] // 2 if at is None else at for axis, at in enumerate(self.params.crop))
        if not (0 <= x <= room[0] and 0 <= y <= room[1]):
            raise DataError(
                f"{self.params.path}: a crop of {_by(self.input_size)} at ({x}, {y}) from a picture resized to "
                f"{_by(resized)}, expected one that lies inside"
            )
        return Letterbox(image_size, self.input_size, resized, -x, -y)

    def _check_sizes(self) -> None:
        params = self.params
        given = tuple(said or is_there for said, is_there in zip(params.output_size, self.input_size, strict=True))
        if given != self.input_size:
            raise DataError(
                f"{params.path}: OimageWidth x OimageHeight {given[0]} x {given[1]}, expected the network's input, "
                f"{_by(self.input_size)}"
            )
        if params.kind == LETTERBOX:
            self._check_border()
        elif params.kind == RESIZE_CROP:
            self.geometry(self.input_size)  # the crop is the same for every picture

    def _check_border(self) -> None:
        """The border and the resized picture must add up to the input."""
        left, right, top, bottom = self.params.edges or (0, 0, 0, 0)
        for side, resized, before, after in zip(
            self.input_size, self.params.resize_size, (left, top), (right, bottom), strict=True
        ):
            whole = before + after + (resized or 1)
            fits = whole == side if resized and self.params.edges else whole <= side
            if not fits:
                inside = resized or "a picture of 1 or more"
                raise DataError(
                    f"{self.params.path}: a border of {before} and {after} around {inside}, expected what adds up to "
                    f"the network's {side}"
                )


def normalisation_tables(params: VdspParams) -> NDArray[np.float32]:
    """What NormaType makes of each of the 256 values of a pixel: float32 (3, 256), in the network's channel order.

    NONE, EQUAL: x; MINUSMEAN: x - Mean; MINUSMEAN_DIVSTD: (x - Mean) / Std; DIV255: x / 255;
    DIV255_MINUSMEAN_DIVSTD: (x / 255 - Mean) / Std; DIV1275_MINUSONE: x / 127.5 - 1. Computed in float64, rounded once.
    """
    x = np.arange(256.0)[None]
    mean, std = np.array(params.mean)[:, None], np.array(params.std)[:, None]
    match params.norm_type:
        case "MINUSMEAN":
            values = x - mean
        case "MINUSMEAN_DIVSTD":
            values = (x - mean) / std
        case "DIV255_MINUSMEAN_DIVSTD":
            values = (x / 255 - mean) / std
        case "DIV1275_MINUSONE":
            values = x / 127.5 - 1
        case "DIV255":
            values = x / 255
        case _:  # NONE, EQUAL
            values = x
    return np.broadcast_to(values, (3, 256)).astype(np.float32)


def _by(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
