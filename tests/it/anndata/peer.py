"""What Python's anndata reads from each file named on the command line, as one line of JSON per file.

A matrix is told by its shape and a SHA-256 over its compressed rows (pointers as u64, columns as u32,
values as f32, all little-endian; columns ascending, repeats summed, zeros left out); a table by every value.
"""

import hashlib
import json
import sys
import warnings

import anndata
import numpy as np
import pandas as pd
from scipy import sparse


def texts(values):
    return [None if pd.isna(value) else str(value) for value in values]


def column(series):
    values = series.array
    if isinstance(series.dtype, pd.CategoricalDtype):
        return {
            "kind": "categorical",
            "codes": values.codes.tolist(),
            "categories": [str(category) for category in series.cat.categories.tolist()],
            "ordered": bool(series.cat.ordered),
            "values": texts(series.tolist()),
        }
    if pd.api.types.is_bool_dtype(series.dtype):
        kind = "booleans"
    elif pd.api.types.is_integer_dtype(series.dtype):
        # What does not fit a signed number is kept as text.
        kind = "strings" if (series.dropna() > 2**63 - 1).any() else "integers"
    elif pd.api.types.is_float_dtype(series.dtype):
        kind = "floats"
    else:
        kind = "strings"
    return {"kind": kind, "values": texts(series.tolist())}


def table(frame):
    return {
        "index_name": frame.index.name,
        "index": [str(name) for name in frame.index],
        "columns": [[name, column(frame[name])] for name in frame.columns],
    }


def matrix(values):
    if not sparse.issparse(values):
        # scipy knows neither big-endian nor half-precision numbers.
        narrow = values.dtype == np.float16
        values = values.astype(np.float32 if narrow else values.dtype.newbyteorder("="))
    rows = sparse.csr_matrix(values)
    # scipy adds up repeats only where indices are signed.
    rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    rows.sum_duplicates()
    rows = rows.astype(np.float32)
    rows.eliminate_zeros()
    rows.sort_indices()
    digest = hashlib.sha256()
    digest.update(rows.indptr.astype("<u8").tobytes())
    digest.update(rows.indices.astype("<u4").tobytes())
    digest.update(np.where(np.isnan(rows.data), np.float32(np.nan), rows.data).astype("<f4").tobytes())
    return {
        "shape": list(rows.shape),
        "entries": int(rows.nnz),
        "sha256": digest.hexdigest(),
    }


def tenx(path):
    """As scanpy reads it, with the features named as the file names them."""
    import scanpy

    data = scanpy.read_10x_h5(path, gex_only=False)
    var = pd.DataFrame(index=pd.Index(data.var["gene_ids"].to_numpy(), name="id"))
    var["name"] = data.var_names.to_numpy()
    var["feature_type"] = data.var["feature_types"].to_numpy()
    var["genome"] = data.var["genome"].to_numpy()
    data.obs = pd.DataFrame(index=pd.Index(data.obs_names, name="barcodes"))
    data.var = var
    return data


def read(path):
    data = tenx(path) if path.endswith(".h5") else anndata.read_h5ad(path)
    matrices = {}
    if data.X is not None:
        matrices["X"] = matrix(data.X)
    if data.raw is not None:
        matrices["raw/X"] = matrix(data.raw.X)
    for name in data.layers:
        matrices[f"layers/{name}"] = matrix(data.layers[name])
    return {
        "obs": table(data.obs),
        "var": table(data.var),
        "raw_var": None if data.raw is None else table(data.raw.var),
        "matrices": matrices,
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for path in sys.argv[1:]:
        try:
            answer = read(path)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"path": path, **answer}), flush=True)
