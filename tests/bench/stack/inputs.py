"""Write what the benchmark of the model runs on: random weights of the size of Stack-Large, and cells.

usage: inputs.py FOLDER [--layers 9]

model.ckpt   an aligned model as Lightning writes one: 15 012 genes, 100 tokens of 16, windows of 512
genes.pkl    its gene list, numpy strings as the package's own tool writes them
base.h5ad    1 000 cells, query.h5ad 512 cells: counts over 20 012 genes, about 13 % of them not 0,
             log-normal libraries
Seeded; names and shapes are those of the published checkpoints, the values are not.
"""
import argparse, io, math, pathlib, pickle

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

GENES, FOREIGN, TOKENS, WIDTH, WINDOW, HEADS = 15_012, 5_000, 100, 16, 512, 8


def popularity():
    """How common each gene is, the model's first."""
    weights = np.random.default_rng(1).lognormal(0, 2, GENES + FOREIGN)
    return weights / weights.sum()


def state_dict(layers):
    """Every parameter, by its name in a checkpoint."""
    random = torch.Generator().manual_seed(0)
    d = TOKENS * WIDTH
    state = {}

    def normal(name, *shape, deviation):
        state["model." + name] = torch.empty(shape).normal_(0, deviation, generator=random)

    def linear(name, out, into, bias=True):
        normal(name + ".weight", out, into, deviation=1 / math.sqrt(into))
        if bias:
            normal(name + ".bias", out, deviation=0.02)

    def norm(name, size):
        normal(name + ".weight", size, deviation=0.1)
        state["model." + name + ".weight"] += 1
        normal(name + ".bias", size, deviation=0.1)

    linear("gene_reduction.0", d, GENES)
    # Of 15 012 inputs an eighth is not 0 and most of those are 1: larger weights make tokens differ.
    state["model.gene_reduction.0.weight"] *= 4
    normal("gene_pos_embedding", TOKENS, WIDTH, deviation=0.5)
    normal("query_pos_embedding", TOKENS, WIDTH, deviation=0.5)
    for l in range(layers):
        for name, size, hidden in [("cell_attn", WIDTH, 0), ("gene_attn", d, 0), ("mlp", WIDTH, 4 * WIDTH)]:
            if hidden:
                linear(f"layers.{l}.{name}.0", hidden, size)
                linear(f"layers.{l}.{name}.3", size, hidden)
            else:
                linear(f"layers.{l}.{name}.qkv", 3 * size, size, bias=False)
                linear(f"layers.{l}.{name}.proj", size, size)
            norm(f"layers.{l}.{name.replace('attn', 'norm') if 'attn' in name else 'mlp_norm'}", size)
    linear("output_mlp.0", 2 * d, d)
    linear("output_mlp.3", 2 * GENES, 2 * d)
    # Scale logits that make predicted cells look like the given ones.
    state["model.output_mlp.3.bias"][0::2] = torch.from_numpy(np.log(popularity()[:GENES])).float()
    linear("cls.0", TOKENS, 2 * d)
    linear("cls.2", 1, TOKENS)
    return state


def write_model(folder, layers):
    config = {"n_genes": GENES, "n_hidden": TOKENS, "token_dim": WIDTH, "n_cells": WINDOW, "n_layers": layers,
              "n_heads": HEADS, "mlp_ratio": 4}
    checkpoint = {
        "epoch": 0, "global_step": 0, "pytorch-lightning_version": "2.5.0", "state_dict": state_dict(layers),
        "loops": {}, "hparams_name": "kwargs", "hyper_parameters": {"model_config": config},
    }
    # As Lightning does: through memory, which calls the folder in the archive `archive`.
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    (folder / "model.ckpt").write_bytes(buffer.getbuffer())


def write_genes(folder):
    names = [f"G{gene:05}" for gene in range(GENES + FOREIGN)]
    with open(folder / "genes.pkl", "wb") as file:
        pickle.dump(list(np.array(names[:GENES])), file)
    return names


def write_cells(file, names, n_cells, seed):
    rng, weights = np.random.default_rng(seed), popularity()
    libraries = np.clip(rng.lognormal(math.log(5_700), 0.5, n_cells), 500, 50_000).astype(int)
    counts = sp.csr_matrix(np.stack([rng.multinomial(n, weights) for n in libraries]).astype(np.float32))
    order = np.random.default_rng(2).permutation(len(names))
    cells = ad.AnnData(
        counts[:, order].tocsr(),
        obs=pd.DataFrame(index=[f"cell{cell}" for cell in range(n_cells)]),
        var=pd.DataFrame(index=[names[gene] for gene in order]),
    )
    cells.obs["donor"] = pd.Categorical(["donor"] * n_cells)
    cells.write_h5ad(file)
    print(f"{file.name}: {n_cells} cells, {counts.nnz / counts.shape[0] / counts.shape[1]:.1%} of the counts are not 0")


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("folder", type=pathlib.Path)
    args.add_argument("--layers", type=int, default=9)
    args = args.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    genes = write_genes(args.folder)
    write_cells(args.folder / "base.h5ad", genes, 1_000, 3)
    write_cells(args.folder / "query.h5ad", genes, 512, 4)
    # Last: with it everything is there.
    write_model(args.folder, args.layers)
