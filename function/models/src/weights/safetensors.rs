//! Safetensors files.

use safetensors::{Dtype, SafeTensors};

use super::{Tensor, WeightError};

/// All tensors of the file, which must be 32-bit floats.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, WeightError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| malformed(error.to_string()))?;
    file.iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                let dtype = view.dtype();
                return Err(malformed(format!(
                    "tensor {name} is {dtype:?}, expected F32"
                )));
            }
            let (values, _) = view.data().as_chunks::<4>();
            let tensor = Tensor {
                shape: view.shape().to_vec(),
                values: values.iter().copied().map(f32::from_le_bytes).collect(),
            };
            Ok((name.to_owned(), tensor))
        })
        .collect()
}

fn malformed(what: String) -> WeightError {
    WeightError::Malformed {
        format: "safetensors",
        what,
    }
}
