//! Between host memory and the device.

use burn::tensor::{Device, Tensor, TensorData};

/// A tensor of these values, in row-major order.
pub fn from_host<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The values of a tensor, in row-major order. Waits for the device.
#[expect(
    clippy::expect_used,
    reason = "all tensors of a network are 32-bit floats, as its weights and its input are"
)]
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("32-bit floats")
}
