"""hrnetae: from the raw maps of associative-embedding pose networks to people."""

try:
    from hrnetae import _kernels as _kernels
except ImportError as error:
    raise ImportError(
        f"{__path__[0]}: the compiled kernels are not there. If this is the source folder, which stands before the "
        "installed package on the path: run Python in another folder, or pip install --editable ."
    ) from error

from typing import TYPE_CHECKING, Any

from hrnetae.capi import get_include, get_library
from hrnetae.decoder import Decoder
from hrnetae.params import DecodeParams
from hrnetae.poses import Poses
from hrnetae.skeleton import COCO17, CROWDPOSE14, Skeleton
from hrnetae.steps import adjust, group_by_tag, heatmap_nms, project, refine, top_k
from hrnetae.types import TopK

if TYPE_CHECKING:
    from hrnetae.evaluation.drawing import draw as draw
    from hrnetae.runtime.estimator import PoseEstimator as PoseEstimator

__all__ = [
    "COCO17",
    "CROWDPOSE14",
    "DecodeParams",
    "Decoder",
    "PoseEstimator",
    "Poses",
    "Skeleton",
    "TopK",
    "__version__",
    "adjust",
    "draw",
    "get_include",
    "get_library",
    "group_by_tag",
    "heatmap_nms",
    "project",
    "refine",
    "top_k",
]
__version__ = _kernels.version()


if not TYPE_CHECKING:  # which would take every name for one that this finds

    def __getattr__(name: str) -> Any:
        """The two doors to higher floors: what lies behind them is imported when somebody goes through."""
        if name == "PoseEstimator":
            from hrnetae.runtime.estimator import PoseEstimator

            return PoseEstimator
        if name == "draw":
            from hrnetae.evaluation.drawing import draw

            return draw
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
