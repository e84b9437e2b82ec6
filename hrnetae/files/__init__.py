"""Files of the deployment flow: network outputs, datalists, output folders; all writing is atomic."""

from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.datalist import Datalist, Pair, pair_by_name, read_datalist
from hrnetae.files.errors import DataError
from hrnetae.files.folders import OutputFolder, Sample, find_outputs
from hrnetae.files.npz import read_outputs, write_outputs

__all__ = [
    "DataError",
    "Datalist",
    "OutputFolder",
    "Pair",
    "Sample",
    "atomic_write",
    "check_writable",
    "find_outputs",
    "pair_by_name",
    "read_datalist",
    "read_outputs",
    "write_outputs",
]
