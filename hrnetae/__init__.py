"""hrnetae: from the raw maps of associative-embedding pose networks to people."""

try:
    from hrnetae import _kernels as _kernels
except ImportError as error:
    raise ImportError(
        f"{__path__[0]}: the compiled kernels are not there. If this is the source folder, which stands before the "
        "installed package on the path: run Python in another folder, or pip install --editable ."
    ) from error

from hrnetae.decoder import Decoder
from hrnetae.params import DecodeParams
from hrnetae.poses import Poses
from hrnetae.skeleton import COCO17, CROWDPOSE14, Skeleton
from hrnetae.steps import adjust, group_by_tag, heatmap_nms, project, refine, top_k
from hrnetae.types import TopK

__all__ = [
    "COCO17",
    "CROWDPOSE14",
    "DecodeParams",
    "Decoder",
    "Poses",
    "Skeleton",
    "TopK",
    "__version__",
    "adjust",
    "group_by_tag",
    "heatmap_nms",
    "project",
    "refine",
    "top_k",
]
__version__ = "0.1.0.dev0"
