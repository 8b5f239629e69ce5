"""Over-representation of chosen genes in gene sets, against a universe of measured genes."""
import json


def gseapy(file):
    import gseapy, numpy, pandas, scipy
    with open(file) as f:
        given = json.load(f)
    sets = {str(at): genes for at, genes in enumerate(given["sets"])}

    def work():
        return gseapy.enrich(gene_list=given["chosen"], gene_sets=sets, background=given["universe"],
                             outdir=None, no_plot=True, verbose=False).res2d

    # Sets that hold none of the chosen genes are not listed.
    def columns(found):
        found = found.set_index("Term").reindex(list(sets))
        return {"p-value": found["P-value"], "adjusted p-value": found["Adjusted P-value"]}

    return [gseapy, numpy, pandas, scipy], work, columns


def scipy(file):
    import numpy, scipy
    from scipy.stats import hypergeom
    with open(file) as f:
        given = json.load(f)
    sets, chosen, n_genes = [set(genes) for genes in given["sets"]], set(given["chosen"]), len(given["universe"])

    def work():
        shared = numpy.array([len(genes & chosen) for genes in sets])
        return hypergeom.sf(shared - 1, n_genes, numpy.array([len(genes) for genes in sets]), len(chosen))

    return [scipy, numpy], work, lambda found: {"p-value": found}
