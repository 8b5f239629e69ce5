//! Parameters in a safetensors file, read and written one tensor at a time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::Problem;
use super::element::Element;
use super::values::Span;

/// The longest header that is read; one of 200 parameters is about 20 kB.
const MAX_HEADER: u64 = 16 << 20;

/// An opened file.
#[derive(Debug)]
pub struct Reader {
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl Reader {
    /// Opens a file and checks its header against its length.
    pub fn open(mut file: File) -> Result<Self, Problem> {
        let size = file.metadata()?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| Problem::Format)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length + 8 > size {
            return Err(Problem::Format);
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header)?;
        // Reading the header checks that the tensors lie one after the other and have their sizes.
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| Problem::Header(error.to_string()))?;
        if metadata.data_len() as u64 != size - 8 - length {
            return Err(Problem::Header(format!(
                "the tensors need {} bytes and the file has {}; it is cut short or something was appended",
                metadata.data_len(),
                size - 8 - length
            )));
        }
        Ok(Self { file, metadata, data_start: 8 + length })
    }

    /// Names of the tensors.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// Where the values of a tensor are, if they are `f32`.
    pub fn span(&self, name: &str) -> Option<Span> {
        let info = self.metadata.info(name).filter(|info| info.dtype == Dtype::F32)?;
        let (start, end) = info.data_offsets;
        Some(Span { start: self.data_start + start as u64, bytes: (end - start) as u64, crc32: None })
    }

    /// The values of a tensor, row by row.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, Problem> {
        let info = self.metadata.info(name).ok_or_else(|| Problem::Missing(name.to_owned()))?;
        let element = match info.dtype {
            Dtype::F64 => Element::F64,
            Dtype::F32 => Element::F32,
            Dtype::F16 => Element::F16,
            Dtype::BF16 => Element::BF16,
            _ => return Err(Problem::NotFloats(name.to_owned())),
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file.seek(SeekFrom::Start(self.data_start + start as u64))?;
        self.file.read_exact(&mut bytes)?;
        element.to_f32(&bytes).ok_or_else(|| Problem::NotFloats(name.to_owned()))
    }
}

/// Writes `f32` tensors, which `read` hands over one by one in the given order.
pub fn write(
    to: &mut impl Write,
    tensors: &[(String, Vec<usize>)],
    mut read: impl FnMut(&str) -> Result<Vec<f32>, Problem>,
) -> Result<(), Problem> {
    let mut end = 0;
    let infos = tensors.iter().map(|(name, shape)| {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        (name.clone(), TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets: (start, end) })
    });
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(about), infos.collect()).map_err(|error| Problem::Header(error.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| Problem::Header(error.to_string()))?;
    // Spaces to the next multiple of 8, so that the values are aligned in a mapped file.
    header.resize(header.len().next_multiple_of(8), b' ');
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    for (name, shape) in tensors {
        let values = read(name)?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(Problem::Io(io::Error::other(format!("tensor {name} has {} values", values.len()))));
        }
        for chunk in values.chunks(1 << 14) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
            to.write_all(&bytes)?;
        }
    }
    Ok(())
}
