//! The values of a parameter: in the mapped file where they lie there as `f32`, else read from it.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use memmap2::Mmap;

use super::Problem;

/// The values of one parameter, row by row.
#[derive(Clone, Debug)]
pub struct Values(Held);

#[derive(Clone, Debug)]
enum Held {
    Mapped { map: Arc<Mmap>, start: usize, bytes: usize },
    Read(Vec<f32>),
}

/// Bytes of a file that are the little-endian `f32` values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// From the start of the file.
    pub start: u64,
    /// How many.
    pub bytes: u64,
    /// Their checksum, where the file has one.
    pub crc32: Option<u32>,
}

/// Maps a file of weights.
pub fn map(file: &File) -> io::Result<Arc<Mmap>> {
    // SAFETY: the map is only read. That nobody changes the weights while a model is used is asked
    // of whoever runs it, as every program that maps its files asks.
    #[expect(unsafe_code, reason = "mapping a file is unsafe, because others may change it")]
    unsafe {
        Mmap::map(file).map(Arc::new)
    }
}

impl Values {
    /// Values that were read.
    pub fn read(values: Vec<f32>) -> Self {
        Self(Held::Read(values))
    }

    /// The values in a mapped file, their checksum compared; `None` where they cannot be used as they
    /// lie there.
    pub fn mapped(map: &Arc<Mmap>, span: Span, name: &str) -> Result<Option<Self>, Problem> {
        let (Ok(start), Ok(bytes)) = (usize::try_from(span.start), usize::try_from(span.bytes)) else {
            return Ok(None);
        };
        let Some(stored) = start.checked_add(bytes).and_then(|end| map.get(start..end)) else { return Ok(None) };
        if cfg!(target_endian = "big") || bytemuck::try_cast_slice::<u8, f32>(stored).is_err() {
            return Ok(None);
        }
        if span.crc32.is_some_and(|expected| crc32fast::hash(stored) != expected) {
            return Err(Problem::Tensor { name: name.to_owned(), what: "its checksum is wrong".to_owned() });
        }
        Ok(Some(Self(Held::Mapped { map: map.clone(), start, bytes })))
    }

    /// Gives the memory of mapped values back; they are fetched from the file when they are read again.
    pub fn release(&self) {
        #[cfg(unix)]
        if let Held::Mapped { map, start, bytes } = &self.0 {
            // SAFETY: the map is of a file and never written, so that nothing is lost. Where the system
            // does not follow the advice, the memory just stays in use.
            #[expect(unsafe_code, reason = "the advice loses what was written to private memory")]
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, *start, *bytes) };
        }
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Held::Mapped { map, start, bytes } => bytemuck::cast_slice(&map[*start..start + bytes]),
            Held::Read(values) => values,
        }
    }
}
