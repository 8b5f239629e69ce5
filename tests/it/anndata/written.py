"""Opens a file we wrote, with every warning an error, and says what is in it, as one line of JSON.

Reads it as `peer.py` does, adds `uns` and `obsm`, lets scanpy read and draw the marker genes, and lets
anndata write the file again.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
from matplotlib import pyplot

import peer

warnings.simplefilter("error")


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return peer.table(value)
    if isinstance(value, np.ndarray) and value.dtype.names:
        return {
            name: {"dtype": value.dtype[name].str, "values": value[name].tolist()} for name in value.dtype.names
        }
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value


path = sys.argv[1]
data = anndata.read_h5ad(path)
answer = peer.read(path)
answer["uns"] = plain(data.uns)
answer["obsm"] = {name: peer.matrix(values) for name, values in data.obsm.items()}
answer["dtypes"] = {name: str(layer.dtype) for name, layer in data.layers.items()}
if "rank_genes_groups" in data.uns:
    groups = data.uns["rank_genes_groups"]["names"].dtype.names
    answer["markers"] = {
        group: json.loads(sc.get.rank_genes_groups_df(data, group=group).to_json(orient="records")) for group in groups
    }
    drawn = sc.pl.rank_genes_groups(data, n_genes=2, show=False)
    answer["axes"] = len(drawn)
    pyplot.close("all")
with tempfile.TemporaryDirectory() as folder:
    again = Path(folder) / "again.h5ad"
    data.write_h5ad(again)
    answer["size_again"] = again.stat().st_size
print(json.dumps(answer))
