"""The peers' side of the benchmarks: one process, so that imports and compiled functions stay.

Reads a request a line and answers each with a line, both JSON:
  {"do": "prepare", "peer": NAME, "arguments": {...}}   {"ok": {"versions": {...}}} or {"ok": {"missing": WHAT}}
  {"do": "run", "peer": NAME}                           {"ok": SECONDS}
  {"do": "answer", "peer": NAME}                        {"ok": {COLUMN: [NUMBER or null, ...]}}
What goes wrong is answered {"error": WHAT}. Peers are the functions of the files beside this one: given
the arguments, each loads its input and returns the modules it runs on, the work, and what turns the
outcome of the work into columns.
"""
import json, logging, os, sys, time, warnings
from importlib import metadata

import differential_expression, gene_sets, over_representation, rows

PEERS = {
    "scanpy": differential_expression.scanpy,
    "illico": differential_expression.illico,
    "decoupler": gene_sets.decoupler,
    "gseapy multilevel": gene_sets.gseapy,
    "gseapy": over_representation.gseapy,
    "scipy": over_representation.scipy,
    "anndata backed": rows.anndata,
    "h5py slices": rows.h5py,
    "cellstream": rows.cellstream,
}
prepared, outcomes = {}, {}


def prepare(peer, arguments):
    try:
        modules, work, columns = PEERS[peer](**arguments)
    except ModuleNotFoundError as error:
        return {"missing": str(error)}
    prepared[peer] = work, columns
    return {"versions": {"python": sys.version.split()[0]} | {m.__name__: metadata.version(m.__name__) for m in modules}}


def run(peer):
    work, _ = prepared[peer]
    start = time.perf_counter()
    outcomes[peer] = work()
    return time.perf_counter() - start


def answer(peer):
    _, columns = prepared[peer]
    numbers = lambda values: [None if x != x else float(x) for x in values]
    return {name: numbers(values) for name, values in columns(outcomes[peer]).items()}


DO = {"prepare": prepare, "run": run, "answer": answer}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    os.environ |= {"TQDM_DISABLE": "1", "LOGURU_AUTOINIT": "0"}
    # What a peer prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"ok": DO[request.pop("do")](**request)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)
