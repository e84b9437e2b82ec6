"""A picture in, people out: preprocessing, the network and the decoder in one call."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.decoder import Decoder
from hrnetae.files.errors import DataError
from hrnetae.files.pictures import require_cv2
from hrnetae.files.vdsp import LETTERBOX, VdspParams, read_vdsp_params
from hrnetae.geometry import Letterbox, Size
from hrnetae.params import DecodeParams
from hrnetae.poses import Poses
from hrnetae.runtime.pixels import to_planes
from hrnetae.runtime.preprocessing import Preprocessor
from hrnetae.runtime.sessions import CPU, Session, SessionSettings, Tensor, describe_backend, open_session
from hrnetae.skeleton import COCO17, CROWDPOSE14, Skeleton

Image = NDArray[np.uint8]

# What HRNet and HigherHRNet are trained with: ImageNet's mean and deviation, a centred letterbox on grey.
DEFAULT_PREPROCESSING = VdspParams(
    path="default preprocessing",
    op_type="FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR",
    kind=LETTERBOX,
    norm_type="DIV255_MINUSMEAN_DIVSTD",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
_KNOWN_SKELETONS = (COCO17, CROWDPOSE14)


class PoseEstimator:
    """Finds the people in pictures: ``estimator(image)`` gives their poses, in the picture's pixels.

    model: a model folder, its prefix (``deploy_weights/hrnet/mod``) or an ONNX file, see ``find_model``.
    vdsp_params: the preprocessing, a file or as `read_vdsp_params` gives it; None: `DEFAULT_PREPROCESSING`, a centred
        letterbox and ImageNet's mean and deviation, which the published networks are trained with.
    params: of the decoder. skeleton: the joints; None: told from the number of maps (17: COCO, 14: CrowdPose).
    flip: each picture also goes through the network mirrored, which doubles the time and finds joints more exactly.
    provider, threads, device: what runs the network, as ``sessions.SessionSettings`` has it.

    May be called from several threads at once; they share the network's threads. The answer is that of the flow
    ``runstream [--flip]`` and ``eval`` for the same picture, to the bit.
    Errors: DataError of one line for a model or a preprocessing that is missing, damaged, or does not fit.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        vdsp_params: str | os.PathLike[str] | VdspParams | None = None,
        params: DecodeParams | None = None,
        *,
        flip: bool = True,
        skeleton: Skeleton | None = None,
        provider: str = CPU,
        threads: int | None = None,
        device: int | None = None,
    ) -> None:
        require_cv2()
        preprocessing = _preprocessing(vdsp_params)
        self.session = open_session(os.fspath(model), SessionSettings(provider, threads, device))
        self.session.require_maps()
        self.flip = flip
        params = DecodeParams() if params is None else params
        skeleton = skeleton or _skeleton_of(self.session, params)
        self.decoder = Decoder(params, skeleton)
        self._preprocess = Preprocessor(preprocessing, self.session.input_size)
        self.warnings = self._preprocess.warnings

    @property
    def skeleton(self) -> Skeleton:
        """The joints of the people that are found."""
        return self.decoder.skeleton

    @property
    def backend(self) -> str:
        """What runs the network, in words."""
        return describe_backend(self.session.provider)

    def __call__(self, image: Image) -> Poses:
        """The people in a picture.

        image: uint8 (H, W, 3), RGB (OpenCV's own pictures are BGR: ``image[:, :, ::-1]``); not written to.
        Errors: TypeError, ValueError for something else; DataError where the network fails.
        """
        return self.decode(self.infer(self.prepare(image)), (image.shape[1], image.shape[0]))

    # The three steps of a call, for those who overlap them.

    def prepare(self, image: Image) -> NDArray[np.float32]:
        """The network's input of a picture: float32 (1, 3, height, width); (2, ...) with the mirrored one second."""
        _check_image(image)
        width, height = self.session.input_size
        inputs = np.empty((1 + self.flip, 3, height, width), np.float32)
        self._preprocess.write_into(to_planes(image), inputs[0])
        if self.flip:
            self._mirror(image, inputs)
        return inputs

    def infer(self, inputs: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """The network's outputs of `prepare`'s inputs, one array (1 or 2, C, H, W) a stage."""
        return self.session(inputs)

    def decode(self, outputs: tuple[NDArray[Any], ...], image_size: Size) -> Poses:
        """The people of `infer`'s outputs, for a picture of (width, height) ``image_size``."""
        plain = [stage[:1] for stage in outputs]
        mirrored = [stage[1:] for stage in outputs] if self.flip else None
        where = self._preprocess.geometry(image_size)
        # The decoder knows one geometry, a picture in the middle of a square. Any other is undone here, from a square
        # that stands for the network's whole input.
        known = _is_what_the_decoder_expects(where)
        side = max(where.input_size)
        try:
            poses = self.decoder.decode(plain, mirrored, image_size=image_size if known else (side, side))
        except ValueError as error:  # maps, but not such as the decoder's settings ask for
            raise DataError(f"{self.session.onnx}: {error}") from None
        return poses if known else _from_square(poses, side, where)

    def _mirror(self, image: Image, inputs: NDArray[np.float32]) -> None:
        """Fills inputs[1]. The picture is mirrored before it is placed, as the flow does it; where it does not lie in
        the middle (a crop, a border on one side) that would show the network another part, and the input is mirrored.
        """
        where = self._preprocess.geometry((image.shape[1], image.shape[0]))
        right = where.input_size[0] - where.left - where.resized[0]
        if abs(right - where.left) <= 1:
            self._preprocess.write_into(to_planes(require_cv2().flip(image, 1)), inputs[1])
        else:
            inputs[1] = inputs[0, :, :, ::-1]


def _preprocessing(given: str | os.PathLike[str] | VdspParams | None) -> VdspParams:
    if given is None:
        return DEFAULT_PREPROCESSING
    return given if isinstance(given, VdspParams) else read_vdsp_params(given)


def _skeleton_of(session: Session, params: DecodeParams) -> Skeleton:
    """The one whose number of joints fits the first output's maps: two a joint, or one and a tag map for all."""
    first: Tensor = session.outputs[0]
    channels = first.shape[1]
    if channels is None:
        return COCO17
    expected = {}
    for skeleton in _KNOWN_SKELETONS:
        count = 2 * len(skeleton) if params.tag_per_joint else len(skeleton) + 1
        if channels == count:
            return skeleton
        expected[count] = skeleton.name
    words = " or ".join(f"{count} ({name})" for count, name in expected.items())
    raise DataError(f"{session.onnx}: {channels} maps in {first.name}, expected {words}, or a skeleton of yours")


def _check_image(image: Any) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"image: {found}, expected an array of uint8 (H, W, 3), RGB")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image: shape {image.shape}, expected (H, W, 3), RGB")


def _is_what_the_decoder_expects(where: Letterbox) -> bool:
    square = where.input_size[0] == where.input_size[1]
    return square and where == Letterbox.fit(where.image_size, where.input_size)


def _from_square(poses: Poses, side: int, where: Letterbox) -> Poses:
    """Poses in a square of this side that the network's input was stretched to, in the picture's pixels."""
    keypoints = poses.keypoints.astype(np.float64)
    keypoints[..., :2] *= np.array(where.input_size) / side
    return Poses(where.to_image(keypoints).astype(np.float32), poses.scores, poses.tags, poses.skeleton)
