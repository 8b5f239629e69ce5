"""Preranked enrichment of gene sets, and activity of sources with these sets as targets."""
import json


def read(file):
    with open(file) as f:
        given = json.load(f)
    return given["genes"], given["values"], {str(at): genes for at, genes in enumerate(given["sets"])}


def gseapy(file, threads):
    import gseapy, numpy, pandas, scipy
    genes, values, sets = read(file)
    ranking = pandas.Series(values, index=genes)

    def work():
        return gseapy.prerank(rnk=ranking, gene_sets=sets, method="multilevel", min_size=15, max_size=500,
                              permutation_num=1000, threads=threads, seed=1, outdir=None, no_plot=True, verbose=False).res2d

    return [gseapy, numpy, pandas, scipy], work, lambda found: {"enrichment score": found.set_index("Term").loc[list(sets), "ES"]}


def decoupler(file, threads):
    import decoupler, numpy, pandas, scipy
    genes, values, sets = read(file)
    sample = pandas.DataFrame([values], columns=genes, index=["sample"])
    network = pandas.DataFrame([(name, gene, 1.0) for name, members in sets.items() for gene in members],
                               columns=["source", "target", "weight"])

    def work():
        return decoupler.mt.ulm(sample, network, tmin=5)

    # Adjusted p-values are kept as float32.
    return [decoupler, numpy, pandas, scipy], work, lambda found: {"score": found[0].loc["sample", list(sets)]}
