"""Random cells of an atlas, ascending: what each peer takes to give them as a sparse matrix."""
import itertools, json, os


def drawn(draws):
    with open(draws) as f:
        return itertools.cycle(json.load(f))


def anndata(file, draws):
    import anndata, h5py, numpy
    data, rows = anndata.read_h5ad(file, backed="r"), drawn(draws)
    return [anndata, h5py, numpy], lambda: data.X[numpy.array(next(rows))], totals


def h5py(file, draws):
    import h5py, numpy, scipy.sparse
    x, rows = h5py.File(file)["X"], drawn(draws)
    indptr, data, indices = x["indptr"][:], x["data"], x["indices"]

    def work():
        values, columns, ends = [], [], [0]
        for row in next(rows):
            part = slice(indptr[row], indptr[row + 1])
            values.append(data[part])
            columns.append(indices[part])
            ends.append(ends[-1] + len(values[-1]))
        parts = numpy.concatenate(values), numpy.concatenate(columns), ends
        return scipy.sparse.csr_matrix(parts, shape=(len(ends) - 1, x.attrs["shape"][1]))

    return [h5py, numpy], work, totals


def cellstream(file, draws):
    import anndata, cellstream, numpy, scipy.sparse
    side, rows = file + ".csad", drawn(draws)
    if not os.path.exists(side):
        cellstream.write_sharded(anndata.read_h5ad(file), side, layout="cell", group_by="cytokine", reference=["PBS"])
    store = cellstream.open(side)

    def work():
        found = store.gather_rows(numpy.array(next(rows)))
        return found if scipy.sparse.issparse(found) else found.X

    return [cellstream, numpy], work, lambda found: {"cells": [found.shape[0]]}


def totals(found):
    import numpy
    return {"counts": numpy.asarray(found.sum(axis=1, dtype=float)).ravel().tolist()}
