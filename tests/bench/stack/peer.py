"""The PyTorch side of the benchmark: arc-stack as it is, in a process that lives on.

usage: peer.py FOLDER OUTPUT      (FOLDER as inputs.py writes it; what is generated goes to OUTPUT)

Reads a request a line and answers each with a line, both JSON:
  {"do": "about"}                                 {"ok": {NAME: VERSION, ...}}
  {"do": "load"}                                  {"ok": SECONDS}   checkpoint file to a model in eval mode
  {"do": "window", "precision": "f32" | "bf16"}   {"ok": SECONDS}   one window, everything get_prediction gives
  {"do": "answer"}                                {"ok": {"means": FILE, "logits": FILE}}   of the last window, f32
  {"do": "generation", "precision": ...}          {"ok": SECONDS}   files to file, the model's loading included
  {"do": "memory"}                                {"ok": BYTES}     the largest resident size so far
What goes wrong is answered {"error": WHAT}. Threads come from OMP_NUM_THREADS. STACK_BENCH_DEVICE=cuda computes on a
GPU, STACK_BENCH_COMPILE=1 with layers that torch.compile made.
"""
import contextlib, json, logging, os, pathlib, sys, time, warnings
from importlib import metadata

import torch

folder, output = map(pathlib.Path, sys.argv[1:3])
device = os.environ.get("STACK_BENCH_DEVICE", "cpu")
compiled = bool(os.environ.get("STACK_BENCH_COMPILE"))
state = {}

# numpy has no bfloat16, and what the package hands to it under autocast is that.
to_numpy = torch.Tensor.numpy
torch.Tensor.numpy = lambda self, *args, **kwargs: to_numpy(
    self.float() if self.dtype == torch.bfloat16 else self, *args, **kwargs)

# Nor has torch draws in it on a CPU: they are made in float32.
for name in ["_standard_gamma", "poisson"]:
    def draw(rate, *args, of=getattr(torch, name), **kwargs):
        return of(rate.float(), *args, **kwargs).to(rate.dtype)
    setattr(torch, name, draw)


def about():
    import anndata, numpy, scvi
    packages = ["arc-stack", "torch", "numpy", "anndata", "scvi-tools"]
    versions = {name: metadata.version(name) for name in packages} | {"python": sys.version.split()[0]}
    versions |= {"threads": str(torch.get_num_threads()), "device": device, "compiled": str(compiled)}
    if device == "cuda":
        versions["gpu"] = torch.cuda.get_device_name()
    return versions


def load_model():
    from stack.model_loading import load_model_from_checkpoint
    model = load_model_from_checkpoint(
        str(folder / "model.ckpt"), model_class="ICL_FinetunedModel", device=torch.device(device))
    if compiled:
        for layer in model.layers:
            layer.compile()
    return model


def model():
    if "model" not in state:
        state["model"] = load_model()
    return state["model"]


def synchronised():
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(work):
    start = synchronised()
    result = work()
    return synchronised() - start, result


def load(precision="f32"):
    state.pop("model", None)
    seconds, state["model"] = timed(load_model)
    return seconds


def precise(precision):
    return torch.autocast(device, dtype=torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def window_cells():
    """The window both sides take: the first base cells, then query cells, over the model's genes."""
    if "window" not in state:
        import anndata
        from stack.cli.generation import _load_adata
        from stack.data.training.datasets import load_gene_list
        genes = load_gene_list(str(folder / "genes.pkl"))
        base, query = (_load_adata(folder / name, target_genes=genes) for name in ["base.h5ad", "query.h5ad"])
        state["window"] = anndata.concat([base[:333], query[:179]])
    return state["window"]


def window(precision):
    cells, net = window_cells(), model()

    def work():
        with precise(precision):
            return net.get_prediction(
                cells, str(folder / "genes.pkl"), cell_ratio=0.25, context_ratio=0.4, batch_size=1, num_workers=0)

    seconds, state["answer"] = timed(work)
    return seconds


def answer():
    import numpy
    means, _, _, logits = state["answer"]
    files = {"means": output.with_suffix(".means"), "logits": output.with_suffix(".logits")}
    for values, file in [(means, files["means"]), (logits, files["logits"])]:
        numpy.asarray(values, dtype="<f4").tofile(file)
    return {name: str(file) for name, file in files.items()}


def generation(precision):
    from stack.cli import generation as command
    # The command loads its own model: where it should be compiled, ours is handed to it.
    command._ensure_deps()["load_model_from_checkpoint"] = lambda *args, **kwargs: load_model()

    def work():
        torch.manual_seed(0)
        with precise(precision):
            command.generate(
                str(folder / "model.ckpt"), str(folder / "base.h5ad"), str(folder / "query.h5ad"),
                str(folder / "genes.pkl"), split_column="donor", mode="mdm", num_steps=5, batch_size=32,
                num_workers=0, random_seed=0, on_generation=lambda split, cells: cells.write_h5ad(output))

    # The reference would keep the earlier model beside the one it loads.
    state.pop("model", None)
    return timed(work)[0]


def memory():
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


DO = {"about": about, "load": load, "window": window, "answer": answer, "generation": generation, "memory": memory}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    os.environ["TQDM_DISABLE"] = "1"
    # What the package prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"ok": DO[request.pop("do")](**request)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)
