//! Reading reference numbers and comparing with them.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use haystack::domain::Csr;
use haystack::stack::model::Compute;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::support::{fixture, shared};

/// What an error may be, as a share of the largest value: of the tensor, and at least 1; for
/// expression values of the cell. The reference's own `f32` error stays below a third of it, while
/// a wrong epsilon or the approximate GELU are well above.
pub const TOLERANCE: f64 = 3e-5;

/// The folders with reference models: one in this repository, more in the shared data.
pub fn models() -> Vec<PathBuf> {
    let more = ["small", "odd"].map(|name| shared(&format!("stack/fixtures/public/{name}")));
    [fixture("stack/tiny")].into_iter().chain(more.into_iter().flatten()).collect()
}

/// The checkpoint of a folder's base model.
pub fn base_checkpoint(folder: &Path) -> PathBuf {
    let files = ["base.ckpt", "base_minimal.ckpt"].map(|name| folder.join(name));
    files.into_iter().find(|file| file.is_file()).unwrap()
}

/// The ways to compute that this machine has.
pub fn computes() -> Vec<Compute> {
    let gpu = cfg!(feature = "cuda").then(|| Device::new_cuda(0).ok()).flatten();
    let everywhere = [Compute::default(), Compute::Vectors, Compute::Tensors(Device::Cpu)];
    everywhere.into_iter().chain(gpu.map(Compute::Tensors)).collect()
}

/// Named tensors of a safetensors file.
pub struct Tensors {
    file: String,
    bytes: Vec<u8>,
    /// The largest error so far, and of which tensor.
    worst: RefCell<(f64, String)>,
}

impl Tensors {
    pub fn load(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        Self {
            file: format!("{}/{}", name_of(path.parent().unwrap()), name_of(path)),
            bytes,
            worst: RefCell::default(),
        }
    }

    fn view(&self, name: &str) -> TensorView<'_> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        tensors.tensor(name).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.file))
    }

    pub fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(name).is_ok()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.view(name).shape().to_vec()
    }

    pub fn values(&self, name: &str) -> Vec<f32> {
        assert_eq!(self.view(name).dtype(), Dtype::F32);
        self.view(name).data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        assert_eq!(self.view(name).dtype(), Dtype::I64);
        self.view(name).data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
    }

    pub fn bools(&self, name: &str) -> Vec<bool> {
        assert_eq!(self.view(name).dtype(), Dtype::BOOL);
        self.view(name).data().iter().map(|&byte| byte != 0).collect()
    }

    /// The matrix of the last two dimensions as counts.
    pub fn counts(&self, name: &str) -> Csr {
        let n_cols = *self.shape(name).last().unwrap();
        let entries = |row: &[f32]| -> Vec<(u32, f32)> {
            row.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(gene, v)| (gene as u32, *v)).collect()
        };
        Csr::from_rows(n_cols, self.values(name).chunks(n_cols).map(entries)).unwrap()
    }

    /// Compares with a tensor by its largest value.
    pub fn check(&self, name: &str, found: &[f32]) {
        let expected = self.values(name);
        assert_eq!(found.len(), expected.len(), "{}: {name}", self.file);
        let largest = expected.iter().fold(1.0_f64, |m, v| m.max(f64::from(v.abs())));
        self.note(name, worst(found, &expected) / largest);
    }

    /// The same row by row, each by its own largest value; a row of zeros must be exactly that.
    pub fn check_rows(&self, name: &str, found: &[f32]) {
        let error = row_error(found, &self.values(name), *self.shape(name).last().unwrap());
        self.note(name, error);
    }

    fn note(&self, name: &str, error: f64) {
        assert!(error < TOLERANCE, "{}: {name} is off by {error:e} of its largest value", self.file);
        let mut worst = self.worst.borrow_mut();
        if error >= worst.0 {
            *worst = (error, name.to_owned());
        }
    }
}

/// One line of the table of errors per file, when all of its tensors have been compared.
impl Drop for Tensors {
    fn drop(&mut self) {
        let (error, name) = &*self.worst.borrow();
        if !name.is_empty() {
            println!("{:<44} worst relative error {error:8.1e} ({name})", self.file);
        }
    }
}

/// The largest error of any row as a share of the row's largest value.
pub fn row_error(found: &[f32], expected: &[f32], width: usize) -> f64 {
    assert_eq!(found.len(), expected.len());
    let mut error = 0.0_f64;
    for (found, expected) in found.chunks(width).zip(expected.chunks(width)) {
        let largest = expected.iter().fold(0.0_f64, |m, v| m.max(f64::from(v.abs())));
        let difference = worst(found, expected);
        assert!(largest > 0.0 || difference == 0.0, "a cell without counts");
        if largest > 0.0 {
            error = error.max(difference / largest);
        }
    }
    error
}

pub fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap_or_else(|e| panic!("{path:?}: {e}"))).unwrap()
}

/// A JSON array of whole numbers.
pub fn rows(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize).collect()
}

/// The rows of a sparse matrix with their zeros, one after the other.
pub fn dense(counts: &Csr) -> Vec<f32> {
    let mut all = vec![0.0; counts.n_rows() * counts.n_cols()];
    for row in 0..counts.n_rows() {
        let (columns, values) = counts.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            all[row * counts.n_cols() + column as usize] = value;
        }
    }
    all
}

fn worst(found: &[f32], expected: &[f32]) -> f64 {
    // `max` would pass over a NaN.
    found
        .iter()
        .zip(expected)
        .map(|(f, e)| f64::from((f - e).abs()))
        .fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
