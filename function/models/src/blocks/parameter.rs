//! What burn can train.

use burn::{
    module::{Param, ParamId},
    tensor::{Device, Tensor, TensorData},
};

/// The id of the parameter whose tensor has this name in a file: FNV-1a of the name, so that whoever trains a network
/// can tell which is which.
pub fn parameter_id(name: &str) -> ParamId {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.into()
}

/// The parameter of this name and shape, its values in row-major order.
pub(super) fn parameter<const D: usize>(
    name: &str,
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    let values = Tensor::from_data(TensorData::new(values, shape), device);
    Param::initialized(parameter_id(name), values).set_require_grad(true)
}
