"""Opens an output file as a scanpy user would, with warnings as errors, and prints what it holds.

Usage: python -W error report.py output.h5ad plot.png
"""
import json, sys, warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the imports themselves
    import matplotlib
    matplotlib.use("Agg")
    import anndata, matplotlib.pyplot as plt, numpy, scanpy

path, plot = sys.argv[1:]
data = anndata.read_h5ad(path)
assert data.obs_names.is_unique and data.var_names.is_unique
assert (data.X.data == numpy.round(data.X.data)).all(), "X holds counts"
assert (data.X != data.layers["counts"]).nnz == 0
assert str(data.layers["counts"].dtype).startswith("int")
assert data.uns["log1p"]["base"] is None
assert data.uns["haystack"]["run_id"] == data.uns["run_id"]
assert data.uns["haystack"]["simulated"]
assert list(data.uns["haystack"]["iterations"]["number"]) == [1, 2]
assert list(data.uns["enrichment_results"].columns[:8]) == [
    "Gene_set", "Term", "Overlap", "P-value", "Adjusted P-value", "Odds Ratio", "Combined Score", "Genes"]
for column in ["cell_id", "task_type", "cell_type_query", "perturbation_query", "prompt_strategy", "iteration", "grounding_score"]:
    assert column in data.obs, column
for column in ["gene_symbol", "predicted_lfc", "predicted_pval", "padj", "is_de", "target_gene"]:
    assert column in data.var, column

# scanpy's own normalisation gives the layer we wrote.
again = anndata.AnnData(data.layers["counts"].astype("float32").copy(), obs=data.obs[["condition"]].copy(), var=data.var[[]].copy())
scanpy.pp.normalize_total(again, target_sum=1e4)
scanpy.pp.log1p(again)
assert numpy.allclose(again.X.toarray(), data.layers["log1p"].toarray(), rtol=1e-6)

# The plots that read what we wrote. Their own deprecation warnings are not ours.
frame = scanpy.get.rank_genes_groups_df(data, "perturbed")
scanpy.pl.rank_genes_groups(data, n_genes=15, show=False)
plt.savefig(plot)
scanpy.pl.rank_genes_groups(data, key="rank_genes_groups_baseline", n_genes=15, show=False)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    scanpy.pl.rank_genes_groups_heatmap(data, n_genes=5, layer="log1p", show=False, show_gene_labels=True)
    scanpy.pl.rank_genes_groups_dotplot(data, n_genes=5, layer="log1p", show=False, dendrogram=False)
    scanpy.pl.violin(data, frame["names"][0], groupby="condition", layer="log1p", show=False)
    scanpy.tl.rank_genes_groups(data, "condition", groups=["perturbed"], reference="control", method="wilcoxon",
                                tie_correct=True, layer="log1p", use_raw=False, key_added="again")
ours, theirs = (scanpy.get.rank_genes_groups_df(data, "perturbed", key=key).set_index("names") for key in ["rank_genes_groups", "again"])
theirs = theirs.loc[ours.index]
assert numpy.allclose(ours["pvals"], theirs["pvals"], rtol=1e-9, atol=0)
assert numpy.allclose(ours["pvals_adj"], theirs["pvals_adj"], rtol=1e-9, atol=0)
assert numpy.allclose(ours["scores"], theirs["scores"], rtol=1e-6)
assert numpy.allclose(ours["logfoldchanges"], theirs["logfoldchanges"], rtol=1e-5)
print(json.dumps({
    "names": list(frame["names"][:5]),
    "p_again": float(theirs["pvals"].iloc[0]),
    "n": list(data.shape),
    "conditions": list(data.obs["condition"].cat.categories),
    "baseline_reference": data.uns["rank_genes_groups_baseline"]["params"]["reference"],
}))
