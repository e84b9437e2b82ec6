"""Drop-ins for those who stay in their framework: the parser of mmpose 0.x and HigherHRNet, the codec of mmpose 1.x.

Tensors come in through ``numpy()`` or DLPack; no framework is imported here. Results are NumPy arrays.
"""

from hrnetae.compat.associative_embedding import AssociativeEmbedding
from hrnetae.compat.heatmap_parser import HeatmapParser

__all__ = ["AssociativeEmbedding", "HeatmapParser"]
