//! Safetensors files.

use safetensors::{Dtype, SafeTensors};

use super::{Tensor, WeightError, elements::Element};

/// All tensors of the file, as 32-bit floats.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, WeightError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| malformed(error.to_string()))?;
    file.iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, view)| {
            let element = match view.dtype() {
                Dtype::F64 => Element::F64,
                Dtype::F32 => Element::F32,
                Dtype::F16 => Element::F16,
                Dtype::BF16 => Element::Bf16,
                Dtype::I64 => Element::I64,
                Dtype::I32 => Element::I32,
                dtype => {
                    return Err(malformed(format!(
                        "tensor {name} is {dtype:?}, expected F16, BF16, F32, F64, I32 or I64"
                    )));
                }
            };
            let tensor = Tensor {
                shape: view.shape().to_vec(),
                values: element.to_f32(view.data()),
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

#[cfg(test)]
mod tests {
    use safetensors::tensor::{TensorView, serialize};

    use super::*;
    use crate::weights::fixture;

    fn file(dtype: Dtype, shape: Vec<usize>, data: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, shape, data).unwrap();
        let counter = TensorView::new(Dtype::I64, vec![], &[0; 8]).unwrap();
        serialize(
            [("weight", view), ("bn.num_batches_tracked", counter)],
            None,
        )
        .unwrap()
    }

    #[test]
    fn half_precision_is_widened() {
        for (dtype, data) in [
            (Dtype::F16, [0x00, 0x3c, 0x00, 0xc0]),
            (Dtype::BF16, [0x80, 0x3f, 0x00, 0xc0]),
        ] {
            let tensors = read(&file(dtype, vec![1, 2], &data)).unwrap();
            let values = vec![1., -2.];
            let shape = vec![1, 2];
            assert_eq!(tensors, [("weight".to_owned(), Tensor { shape, values })]);
        }
    }

    #[test]
    fn other_types_are_named() {
        let error = read(&file(Dtype::BOOL, vec![1], &[1])).unwrap_err();
        assert!(error.to_string().contains("tensor weight is BOOL"));
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        fixture::damage(&file(Dtype::F16, vec![2], &[0; 4]), read);
    }
}
