//! A PyTorch Lightning checkpoint: a pickle that describes tensors, and their storages beside it.
//!
//! Of a training checkpoint only what is reachable from `state_dict` is read; the optimizer's
//! moments, three times as large, are not. The device a tensor was saved from is ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::Problem;
use super::element::Element;
use super::pickle::{Global, Node, Pickle, Ref};
use super::values::Span;
use super::zip::Archive;

/// An opened checkpoint.
#[derive(Debug)]
pub struct Reader {
    archive: Archive,
    tensors: BTreeMap<String, Tensor>,
    config: Value,
}

/// The longest text a constructor argument may be, and the longest number of a storage.
const LONGEST_ARGUMENT: usize = 256;
const LONGEST_KEY: usize = 20;

/// Where a tensor's values are.
#[derive(Debug)]
struct Tensor {
    storage: String,
    element: Element,
    /// First element in the storage.
    offset: usize,
    shape: Vec<usize>,
    /// Elements from one index to the next, per dimension.
    strides: Vec<usize>,
}

impl Reader {
    /// Reads the description of every tensor and checks it against the storages.
    pub fn open(mut archive: Archive) -> Result<Self, Problem> {
        let pickle = Pickle::read(&archive.pickle()?)?;
        let root = pickle.root();
        let part = |name: &str| pickle.get(root, name).ok_or_else(|| Problem::Lightning(format!("it has no '{name}'")));
        let config = match pickle.get(part("hyper_parameters")?, "model_config") {
            Some(config) => plain_json(&pickle, config)?,
            None => Value::Object(Map::new()),
        };
        let entries = pickle
            .entries(part("state_dict")?)
            .ok_or_else(|| Problem::Lightning("its state_dict is not a dictionary".to_owned()))?;
        let mut tensors = BTreeMap::new();
        let mut total: u64 = 0;
        for &(key, value) in entries {
            let key = pickle.text(key).ok_or_else(|| Problem::Lightning("a tensor without a name".to_owned()))?;
            let name = key.strip_prefix("model.").unwrap_or(key);
            let tensor = tensor(&pickle, value).map_err(|what| Problem::Tensor { name: name.to_owned(), what })?;
            tensor.check(archive.storage_size(&tensor.storage)?, name)?;
            let values = tensor.shape.iter().product::<usize>() as u64;
            total = total.saturating_add(values.saturating_mul(tensor.element.width() as u64));
            if tensors.insert(name.to_owned(), tensor).is_some() {
                return Err(Problem::Lightning(format!("it has two tensors called {name}")));
            }
        }
        // Parameters never share a storage, so all of them together fit into the file.
        if total > archive.file_size() {
            return Err(Problem::Lightning("its tensors are larger than the file".to_owned()));
        }
        Ok(Self { archive, tensors, config })
    }

    /// The constructor arguments stored with the tensors.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Names of the tensors, without Lightning's `model.`.
    pub fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Where the values of a tensor are, if its storage holds them as they are and nothing else.
    pub fn span(&mut self, name: &str) -> Result<Option<Span>, Problem> {
        let tensor = self.tensors.get(name).ok_or_else(|| Problem::Missing(name.to_owned()))?;
        if tensor.element != Element::F32 || tensor.offset != 0 || !tensor.is_contiguous() {
            return Ok(None);
        }
        let bytes = 4 * tensor.shape.iter().product::<usize>() as u64;
        Ok(self.archive.span(&tensor.storage)?.filter(|span| span.bytes == bytes))
    }

    /// The values of a tensor, row by row.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, Problem> {
        let tensor = self.tensors.get(name).ok_or_else(|| Problem::Missing(name.to_owned()))?;
        let bytes = self.archive.storage(&tensor.storage)?;
        let storage = tensor.element.to_f32(&bytes).ok_or_else(|| Problem::NotFloats(name.to_owned()))?;
        Ok(tensor.gather(storage))
    }
}

impl Tensor {
    /// Checks that every element lies in the storage, and that there are no more than it holds.
    fn check(&self, storage_bytes: u64, name: &str) -> Result<(), Problem> {
        let wrong = |what: String| Err(Problem::Tensor { name: name.to_owned(), what });
        if matches!(self.element, Element::Integer(_)) {
            return Err(Problem::NotFloats(name.to_owned()));
        }
        let stored = storage_bytes / self.element.width() as u64;
        let count = self.shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size as u64));
        let reach = self.shape.iter().zip(&self.strides).try_fold(self.offset as u64, |reach, (&size, &stride)| {
            reach.checked_add((size as u64).saturating_sub(1).checked_mul(stride as u64)?)
        });
        match (count, reach) {
            (Some(0), _) => Ok(()),
            (Some(count), Some(reach)) if count <= stored && reach < stored => Ok(()),
            _ => wrong(format!(
                "shape {:?} with strides {:?} from element {} does not fit its storage of {stored} elements",
                self.shape, self.strides, self.offset
            )),
        }
    }

    /// Whether the elements lie in row order.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size;
            fits
        })
    }

    /// The elements in row order. The checks of [`Tensor::check`] hold.
    fn gather(&self, storage: Vec<f32>) -> Vec<f32> {
        let count = self.shape.iter().product();
        if count == 0 {
            return Vec::new();
        }
        if self.is_contiguous() {
            // A copy of what is used: a storage may be shared with other tensors, and be much longer.
            return if count == storage.len() { storage } else { storage[self.offset..][..count].to_vec() };
        }
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let at: usize = index.iter().zip(&self.strides).map(|(&i, &stride)| i * stride).sum();
            values.push(storage[self.offset + at]);
            for (i, &size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < size {
                    break;
                }
                *i = 0;
            }
        }
        values
    }
}

/// Reads `_rebuild_tensor_v2(storage, offset, shape, strides, …)`.
fn tensor(pickle: &Pickle, value: Ref) -> Result<Tensor, String> {
    let Node::Call { function: Global::RebuildTensor, arguments, .. } = pickle.node(value) else {
        return Err("it is not a tensor".to_owned());
    };
    let (storage, offset, shape, strides) = match pickle.sequence(*arguments) {
        Some(&[storage, offset, shape, strides, ..]) => (storage, offset, shape, strides),
        _ => return Err("too few arguments to rebuild it".to_owned()),
    };
    let Node::Persistent(id) = pickle.node(storage) else {
        return Err("its storage is not stored beside the pickle".to_owned());
    };
    // ('storage', type, key, device, number of elements)
    let (kind, key) = match pickle.sequence(*id) {
        Some(&[tag, kind, key, _, _]) if pickle.text(tag) == Some("storage") => (kind, key),
        _ => return Err("its storage is not described as torch does".to_owned()),
    };
    let Node::Global(Global::Storage(element)) = pickle.node(kind) else {
        return Err("the type of its storage is not known".to_owned());
    };
    let key = pickle.text(key).filter(|key| key.len() <= LONGEST_KEY).ok_or("its storage has no number")?;
    let size = |at: Ref| pickle.int(at).and_then(|value| usize::try_from(value).ok());
    let sizes = |at: Ref| pickle.sequence(at)?.iter().map(|&at| size(at)).collect::<Option<Vec<_>>>();
    let offset = size(offset).ok_or("its offset is not a count")?;
    let shape = sizes(shape).ok_or("its shape is not a tuple of counts")?;
    let strides = sizes(strides).ok_or("its strides are not a tuple of counts")?;
    if shape.len() != strides.len() || shape.len() > 8 {
        return Err(format!("shape {shape:?} and strides {strides:?} do not belong together"));
    }
    Ok(Tensor { storage: key.to_owned(), element: *element, offset, shape, strides })
}

/// A dictionary of plain values as JSON.
fn plain_json(pickle: &Pickle, dict: Ref) -> Result<Value, Problem> {
    let wrong = |what: &str| Problem::Lightning(format!("model_config {what}"));
    let entries = pickle.entries(dict).ok_or_else(|| wrong("is not a dictionary"))?;
    let mut object = Map::new();
    for &(key, value) in entries {
        let key = pickle.text(key).ok_or_else(|| wrong("has a key that is not a string"))?;
        let value = match pickle.node(value) {
            Node::None => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::from(*value),
            Node::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
            // One text of a pickle may be the value of many keys.
            Node::Text(value) if value.len() <= LONGEST_ARGUMENT => Value::from(&**value),
            _ => return Err(wrong(&format!("has a value for {key} that is no plain number or short text"))),
        };
        object.insert(key.to_owned(), value);
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(offset: usize, shape: &[usize], strides: &[usize]) -> Tensor {
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        Tensor { storage: "0".to_owned(), element: Element::F32, offset, shape, strides }
    }

    #[test]
    fn values_are_gathered_by_offset_and_strides() {
        let storage: Vec<f32> = (0..8).map(|i| i as f32).collect();
        assert_eq!(tensor(1, &[2, 3], &[3, 1]).gather(storage.clone()), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(tensor(0, &[3, 2], &[1, 3]).gather(storage.clone()), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(tensor(2, &[], &[]).gather(storage.clone()), [2.]);
        assert_eq!(tensor(0, &[0, 5], &[5, 1]).gather(storage), [0.0_f32; 0]);
    }

    #[test]
    fn a_tensor_beyond_its_storage_is_refused() {
        assert!(tensor(0, &[2, 3], &[3, 1]).check(24, "w").is_ok());
        for bad in [
            tensor(1, &[2, 3], &[3, 1]),
            tensor(0, &[2, 3], &[4, 1]),
            // Expanded: more elements than are stored.
            tensor(0, &[7], &[0]),
            tensor(0, &[usize::MAX, 2], &[1, 1]),
            tensor(0, &[2], &[usize::MAX]),
            tensor(usize::MAX, &[1], &[1]),
        ] {
            let error = bad.check(24, "w").unwrap_err().to_string();
            assert!(error.contains("does not fit its storage"), "{error}");
        }
        let integers = Tensor { element: Element::Integer(8), ..tensor(0, &[1], &[1]) };
        assert!(matches!(integers.check(24, "w"), Err(Problem::NotFloats(_))));
    }
}
