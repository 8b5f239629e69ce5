"""Rank-sum tests of the cells labelled treated against those labelled control, ties corrected."""


def scanpy(file, threads):
    import anndata, numpy, scanpy, scipy
    cells = anndata.read_h5ad(file)

    def work():
        scanpy.tl.rank_genes_groups(cells, "perturbation", reference="control", method="wilcoxon", tie_correct=True)
        return cells.uns["rank_genes_groups"]

    def columns(found):
        place = {gene: at for at, gene in enumerate(found["names"]["treated"])}
        order = [place[gene] for gene in cells.var_names]
        return {"p-value": found["pvals"]["treated"][order], "adjusted p-value": found["pvals_adj"]["treated"][order]}

    return [scanpy, anndata, numpy, scipy], work, columns


def illico(file, threads):
    import anndata, illico, numpy, scipy
    cells = anndata.read_h5ad(file)

    # As scanpy does it: no continuity correction, the mean taken before the logarithm is undone.
    def work():
        return illico.asymptotic_wilcoxon(
            cells, is_log1p=True, group_keys="perturbation", reference="control", n_threads=threads,
            tie_correct=True, use_continuity=False, exp_post_agg=True,
        )

    def columns(found):
        return {"p-value": found.loc["treated"].loc[cells.var_names, "p_value"]}

    return [illico, anndata, numpy, scipy], work, columns
