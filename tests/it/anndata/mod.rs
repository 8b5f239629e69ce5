//! `.h5ad` files: ours against Python's anndata, damaged files, and files of other kinds.

mod damage;
mod direct;
mod fixtures;
mod hostile;
mod mtx;
mod peer;
mod roundtrip;
mod write;
