"""Rank-sum tests of each group of treated cells against the control cells, ties corrected."""


def load(file):
    import anndata
    cells = anndata.read_h5ad(file)
    return cells, [group for group in cells.obs["perturbation"].cat.categories if group != "control"]


def scanpy(file, threads, n_compared):
    import anndata, numpy, scanpy, scipy
    cells, groups = load(file)

    def work():
        scanpy.tl.rank_genes_groups(cells, "perturbation", reference="control", method="wilcoxon", tie_correct=True)
        return cells.uns["rank_genes_groups"]

    def columns(found):
        def column(name):
            values = []
            for group in groups[:n_compared]:
                place = {gene: at for at, gene in enumerate(found["names"][group])}
                values.append(found[name][group][[place[gene] for gene in cells.var_names]])
            return numpy.concatenate(values)
        return {"p-value": column("pvals"), "adjusted p-value": column("pvals_adj")}

    return [scanpy, anndata, numpy, scipy], work, columns


def illico(file, threads, n_compared):
    import anndata, illico, numpy, scipy
    cells, groups = load(file)

    # As scanpy does it: no continuity correction, the mean taken before the logarithm is undone.
    def work():
        return illico.asymptotic_wilcoxon(
            cells, is_log1p=True, group_keys="perturbation", reference="control", n_threads=threads,
            tie_correct=True, use_continuity=False, exp_post_agg=True,
        )

    def columns(found):
        of = lambda group: found.loc[group].loc[cells.var_names, "p_value"].to_numpy()
        return {"p-value": numpy.concatenate([of(group) for group in groups[:n_compared]])}

    return [illico, anndata, numpy, scipy], work, columns
