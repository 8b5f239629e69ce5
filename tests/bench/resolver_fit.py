"""Fits the weights of the name resolver (assets/resolver.tsv) on the tuning half of the gold set.

    make bench-resolver ARGS='--features features.tsv'
    python tests/bench/resolver_fit.py assets/resolver.tsv features.tsv

A line of features.tsv is a label: source, kind, text, T for the tuning half or H, `in` if its context
was given, the features of *none of them*, then per candidate `id|1 if it is a gold term|features`, a
feature as `index:value`. The model is a conditional logit: the weights maximise the likelihood of the
gold term, or of *none of them* where no candidate is a gold term, with a ridge. A source counts as the
square root of its labels, so that no large one decides alone.

A label that is a term's own name or a curated one, plurals and punctuation apart, is answered with that
term. Any other answer needs a probability: `threshold`, the least at which no source of 60 labels or
more has over MAX_WRONG of its labels answered wrongly in all; a source whose names leave less than
MAX_LIKELY of that is allowed MAX_LIKELY.
"""

import collections
import sys

import numpy as np
from scipy.optimize import minimize

MAX_WRONG = 0.042
MAX_LIKELY = 0.02
PER_SOURCE = 1200
RIDGE = 1e-4
KINDS = {"cell_type": "cell-type", "tissue": "tissue", "disease": "disease"}


def vector(text, n):
    values = np.zeros(n, dtype=np.float32)
    for pair in filter(None, text.split(",")):
        at, value = pair.split(":")
        values[int(at)] = float(value)
    return values


def read(paths):
    rows = []
    for path in paths:
        seen = collections.Counter()
        with open(path) as file:
            names = file.readline().rstrip("\n").split("\t")
            for line in file:
                source, kind, text, half, given, none, *candidates = line.rstrip("\n").split("\t")
                seen[source, half, given] += 1
                if seen[source, half, given] > PER_SOURCE:
                    continue
                parts = [candidate.split("|") for candidate in candidates]
                x = np.array([vector(f, len(names)) for *_, f in parts] + [vector(none, len(names))])
                gold = np.array([flag == "1" for _, flag, _ in parts] + [False])
                rows.append((kind, source, half, given, x, gold))
    return names, rows


def fit(rows, n):
    counts = collections.Counter(source for _, source, *_ in rows)
    total = sum(np.sqrt(count) for count in counts.values())
    golds = []
    for *_, gold in rows:
        gold = gold.copy()
        gold[-1] = not gold.any()
        golds.append(gold)
    x, gold = np.concatenate([row[4] for row in rows]), np.concatenate(golds)
    sizes = np.array([len(g) for g in golds])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    weight = np.array([1 / np.sqrt(counts[row[1]]) / total for row in rows])
    spread = np.repeat(weight, sizes)

    def loss(w):
        score = x @ w
        e = np.exp(score - np.repeat(np.maximum.reduceat(score, starts), sizes))
        every, right = np.add.reduceat(e, starts), np.maximum(np.add.reduceat(e * gold, starts), 1e-300)
        value = np.sum(weight * (np.log(every) - np.log(right)))
        gradient = ((e / np.repeat(every, sizes) - e * gold / np.repeat(right, sizes)) * spread) @ x
        return value + RIDGE * w @ w, gradient + 2 * RIDGE * w

    best = minimize(loss, np.zeros(n), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    return best.x, best.fun


def answers(rows, names, w):
    """Per label: source, half, given, probability, right, and whether it is a name or like one."""
    very, label, curated, expanded = (names.index(n) for n in ("label_as_spelled", "same_label", "same_curated", "expanded"))
    for _, source, half, given, x, gold in rows:
        score = x @ w
        p = np.exp(score - score.max())
        p /= p.sum()
        if len(p) == 1:
            yield source, half, given, 0.0, False, "like"
            continue
        plain = x[:-1, expanded] == 0
        named = [x[:-1, very] > 0] + ([] if given else [(x[:-1, at] > 0) & plain for at in (label, curated)])
        sure = next((which for which in named if which.sum() == 1), None)
        top = int(np.argmax(p[:-1])) if sure is None else int(np.argmax(sure))
        yield source, half, given, p[top], bool(gold[top]), "like" if sure is None else "named"


def threshold(found):
    tuning = [row for row in found if row[1] == "T" and not row[2]]
    counts = collections.Counter(row[0] for row in tuning)
    least = 0.5
    for source, n in counts.items():
        wrong = sorted((p for s, _, _, p, right, how in tuning if s == source and how == "like" and not right), reverse=True)
        named = sum(s == source and how == "named" and not right for s, _, _, _, right, how in tuning)
        allowed = int(max(MAX_LIKELY * n, MAX_WRONG * n - named))
        if n >= 60 and len(wrong) > allowed and wrong[allowed] > least:
            print("  ", source, round(wrong[allowed], 3))
            least = float(wrong[allowed])
    return round(least + 1e-3, 3)


def report(found, least):
    tallies = collections.defaultdict(collections.Counter)
    for source, half, given, p, right, how in found:
        tally = tallies[source, given, half]
        tally["n"] += 1
        tally["first"] += right
        if how == "named" or p >= least:
            tally["right" if right else "wrong"] += 1
            tally["wrong " + how] += not right
    for (source, given, half), t in sorted(tallies.items()):
        share = lambda key: f"{100 * t[key] / t['n']:5.1f}"
        wrongs = " ".join(share("wrong " + how) for how in ("named", "like"))
        print(f"{source:26} {given:3} {half} {t['n']:6} right {share('right')} first {share('first')} wrong {share('wrong')} ({wrongs})")


def main():
    table, *paths = sys.argv[1:]
    names, rows = read(paths)
    before = {}
    for line in open(table):
        if not line.startswith("#"):
            name, *values = line.rstrip("\n").split("\t")
            before[name] = values
    all_names = [*names, "threshold"]
    columns = {}
    for at, (kind, column) in enumerate(KINDS.items()):
        own = [row for row in rows if row[0] == kind]
        if not own:
            columns[column] = [before.get(name, ["0"] * 3)[at] for name in all_names]
            continue
        w, value = fit([row for row in own if row[2] == "T"], len(names))
        found = list(answers(own, names, w))
        least = threshold(found)
        columns[column] = [f"{v:.3f}" for v in w] + [str(least)]
        print(f"{column}: loss {value:.4f}, threshold {least}")
        report(found, least)
    with open(table, "w") as file:
        file.write("# Weights of the name resolver, fitted by tests/bench/resolver_fit.py on half of each gold source.\n")
        file.write("\t".join(["feature", *columns]) + "\n")
        for at, name in enumerate(all_names):
            file.write("\t".join([name, *(values[at] for values in columns.values())]) + "\n")


main()
