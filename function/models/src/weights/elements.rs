//! Numbers as weight files hold them, little-endian.

use half::{bf16, f16};

/// The type of a tensor's elements in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I8,
    U8,
}

impl Element {
    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// The elements in `bytes`, rounded to 32-bit floats; bytes after the last whole element are left
    /// out.
    pub(super) fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F64 => decode(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => decode(bytes, f32::from_le_bytes),
            Self::F16 => decode(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => decode(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Self::I64 => decode(bytes, |b| i64::from_le_bytes(b) as f32),
            Self::I32 => decode(bytes, |b| i32::from_le_bytes(b) as f32),
            Self::I8 => decode(bytes, |b| f32::from(i8::from_le_bytes(b))),
            Self::U8 => decode(bytes, |[b]| f32::from(b)),
        }
    }
}

fn decode<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().copied().map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_one_and_minus_two() {
        let cases: [(Element, Vec<u8>); 7] = [
            (Element::F64, [1f64, -2.].map(f64::to_le_bytes).concat()),
            (Element::F32, [1f32, -2.].map(f32::to_le_bytes).concat()),
            (Element::F16, vec![0x00, 0x3c, 0x00, 0xc0]),
            (Element::Bf16, vec![0x80, 0x3f, 0x00, 0xc0]),
            (Element::I64, [1i64, -2].map(i64::to_le_bytes).concat()),
            (Element::I32, [1i32, -2].map(i32::to_le_bytes).concat()),
            (Element::I8, vec![1, 0xfe]),
        ];
        for (element, bytes) in cases {
            assert_eq!(bytes.len(), 2 * element.size(), "{element:?}");
            assert_eq!(element.to_f32(&bytes), [1., -2.], "{element:?}");
        }
        assert_eq!(Element::U8.to_f32(&[1, 254]), [1., 254.]);
    }
}
