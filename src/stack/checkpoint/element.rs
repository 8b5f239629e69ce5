//! The element types of stored tensors, and their conversion to `f32`.

use half::{bf16, f16};

/// Type of the elements of a stored tensor, always little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 64-bit floats.
    F64,
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// Brain floats.
    BF16,
    /// Integers or booleans with their width in bytes; never a model's parameters.
    Integer(usize),
}

impl Element {
    /// Bytes per element.
    pub fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Integer(width) => width,
        }
    }

    /// The stored floats as `f32`, rounded where they are wider; `None` for integers.
    pub fn to_f32(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Self::F64 => chunks(bytes).map(|b| f64::from_le_bytes(b) as f32).collect(),
            Self::F32 => chunks(bytes).map(f32::from_le_bytes).collect(),
            Self::F16 => chunks(bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            Self::BF16 => chunks(bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
            Self::Integer(_) => return None,
        })
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_becomes_the_f32_nearest_to_it() {
        assert_eq!(Element::F64.to_f32(&1.5e300_f64.to_le_bytes()), Some(vec![f32::INFINITY]));
        assert_eq!(Element::F64.to_f32(&0.1_f64.to_le_bytes()), Some(vec![0.1_f32]));
        assert_eq!(Element::F32.to_f32(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]), Some(vec![1.0, -2.0]));
        assert_eq!(Element::F16.to_f32(&[0x00, 0x3c, 0x01, 0x00]), Some(vec![1.0, 5.960_464_5e-8]));
        assert_eq!(Element::BF16.to_f32(&[0x80, 0x3f, 0x00, 0xc0]), Some(vec![1.0, -2.0]));
        assert_eq!(Element::Integer(8).to_f32(&[0; 8]), None);
    }
}
