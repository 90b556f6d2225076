//! Convolutions and regions that burn differentiates by the project's own kernels.
//!
//! burn's tensors then hold maps in the layout of these kernels, so that nothing is brought from one to another between
//! layers: a [`Blocked`] map is a tensor `[blocks, batch, height, width, 16]`, with which burn can do all that does not
//! ask for channels.

use std::sync::{Arc, LazyLock};

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, DispatchTensor, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, NodeGuard, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{DType, Tensor, TensorData},
};
use segmenter_kernels::{
    Context, Isa, Picture, RoiAlign,
    training::{self, Amx, Convolution, Regions},
};

use super::{Activation, Geometry, conv::activate, map::Values};

/// Channels that lie side by side.
const LANES: usize = 16;

/// What kernels run with.
static CONTEXT: LazyLock<Arc<Context>> = LazyLock::new(|| Context::new(Isa::best()));

/// And their tiles.
static AMX: LazyLock<Option<Amx>> = LazyLock::new(Amx::get);

/// A map in the layout of the kernels.
#[derive(Clone, Debug)]
pub(super) struct Blocked {
    /// `[ceil(channels / 16), batch, height, width, 16]`, or `[1, batch, height, width, 4]` of pictures; channels beyond
    /// the last are anything.
    tensor: Tensor<5>,
    channels: usize,
}

impl Blocked {
    /// From pictures, `[batch, height, width, 4]`.
    pub(super) fn from_pictures(pictures: Tensor<4>) -> Self {
        Self {
            tensor: pictures.unsqueeze_dim(0),
            channels: Picture::CHANNELS,
        }
    }

    /// From `[batch, channels, height, width]`, with so many channels side by side.
    fn new(tensor: Tensor<4>, lanes: usize) -> Self {
        let [batch, channels, height, width] = tensor.dims();
        let blocks = channels.div_ceil(lanes);
        let tensor = widened(tensor, blocks * lanes).reshape([batch, blocks, lanes, height, width]);
        Self {
            tensor: tensor.permute([1, 0, 3, 4, 2]),
            channels,
        }
    }

    fn of(values: &Values) -> Self {
        match values {
            Values::Blocked(map) => map.clone(),
            values => Self::new(values.tensor(), LANES),
        }
    }

    /// `[batch, channels, height, width]`.
    pub(super) fn tensor(self) -> Tensor<4> {
        let [blocks, batch, height, width, lanes] = self.tensor.dims();
        let tensor = self.tensor.permute([1, 0, 4, 2, 3]);
        let tensor = tensor.reshape([batch, blocks * lanes, height, width]);
        if self.channels == blocks * lanes {
            tensor
        } else {
            tensor.narrow(1, 0, self.channels)
        }
    }

    /// `[batch, channels, height, width]`.
    pub(super) fn dims(&self) -> [usize; 4] {
        let [_, batch, height, width, _] = self.tensor.dims();
        [batch, self.channels, height, width]
    }

    /// The sum of two maps of one shape.
    pub(super) fn add(self, other: Self) -> Self {
        Self {
            tensor: self.tensor + other.tensor,
            channels: self.channels,
        }
    }

    /// Every pixel repeated, so that the map has this size; none if its sides are not twice as long.
    pub(super) fn doubled(&self, size: [usize; 2]) -> Option<Self> {
        let [blocks, batch, height, width, lanes] = self.tensor.dims();
        if size != [2 * height, 2 * width] {
            return None;
        }
        let planes = blocks * batch;
        let pixels = self
            .tensor
            .clone()
            .reshape([planes * height, 1, width, 1, lanes]);
        let pixels = pixels.expand([planes * height, 2, width, 2, lanes]);
        Some(Self {
            tensor: pixels.reshape([blocks, batch, 2 * height, 2 * width, lanes]),
            channels: self.channels,
        })
    }
}

/// With zeros for channels that are not there.
fn widened(tensor: Tensor<4>, channels: usize) -> Tensor<4> {
    let [batch, there, height, width] = tensor.dims();
    if there == channels {
        return tensor;
    }
    let zeros = Tensor::zeros([batch, channels - there, height, width], &tensor.device());
    Tensor::cat(vec![tensor, zeros], 1)
}

/// Whether such a convolution of this map is one of these. Only what may be trained is, and only in 32-bit floats.
pub(super) fn suits(geometry: &Geometry, x: &Values) -> bool {
    Convolution::suits(geometry) && may_be_trained(x)
}

fn may_be_trained(x: &Values) -> bool {
    match x {
        Values::Blocked(_) => true,
        Values::Burn(x) => x.is_autodiff() && x.dtype() == DType::F32,
        _ => false,
    }
}

/// `activation(conv(x) + bias + residual)`; the parameters are weight and bias.
pub(super) fn forward(
    geometry: Geometry,
    activation: Activation,
    parameters: [DispatchTensor; 2],
    x: &Values,
    residual: Option<&Values>,
) -> Values {
    let x = match x {
        // What is asked for its gradient would get that of a map.
        Values::Burn(x) if x.dims()[1] == Picture::CHANNELS && !x.is_tracked() => {
            Blocked::new(x.clone(), Picture::CHANNELS + 1)
        }
        x => Blocked::of(x),
    };
    let x = x.tensor.into_dispatch();
    let residual = residual.map(|residual| Blocked::of(residual).tensor.into_dispatch());
    let layer = Layer {
        geometry,
        rectifies: activation == Activation::Relu,
        transposed: false,
    };
    let [weight, bias] = parameters;
    let y = match residual {
        Some(residual) => Dispatch::convolve_and_add(x, weight, bias, residual, layer),
        None => Dispatch::convolve(x, weight, bias, layer),
    };
    layer.finish(y, activation)
}

/// Whether a transposed convolution of this map is one of these.
pub(super) fn suits_transposed(x: &Values) -> bool {
    may_be_trained(x)
}

/// `activation(conv(x) + bias)` of a transposed convolution with a kernel and a stride of two; the parameters are
/// weight, `[inputs, outputs, 2, 2]`, and bias.
pub(super) fn transposed(
    activation: Activation,
    [weight, bias]: [DispatchTensor; 2],
    x: &Values,
) -> Values {
    let x = Blocked::of(x);
    let outputs = Tensor::<1>::from_dispatch(bias.clone()).dims()[0];
    let layer = Layer {
        geometry: Geometry::new(outputs, x.channels, 2)
            .stride(2)
            .padding(0, 0),
        rectifies: activation == Activation::Relu,
        transposed: true,
    };
    let x = x.tensor.into_dispatch();
    let y = Dispatch::convolve(x, weight, bias, layer);
    layer.finish(y, activation)
}

/// What a convolution does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    /// Of a transposed convolution, how its result would become its input.
    geometry: Geometry,
    /// Whether zeros take the place of negative results.
    rectifies: bool,
    transposed: bool,
}

impl Layer {
    fn outputs(&self) -> usize {
        if self.transposed {
            self.geometry.inputs
        } else {
            self.geometry.outputs
        }
    }

    /// What is not done yet.
    fn finish(&self, y: DispatchTensor, activation: Activation) -> Values {
        let mut tensor = Tensor::from_dispatch(y);
        if !self.rectifies {
            tensor = activate(activation, tensor);
        }
        Values::Blocked(Blocked {
            tensor,
            channels: self.outputs(),
        })
    }

    fn activation(&self) -> Activation {
        if self.rectifies {
            Activation::Relu
        } else {
            Activation::Identity
        }
    }

    /// For a tensor that it is applied to.
    fn on(&self, x: &FloatTensor<Flex>) -> (Convolution<'static>, Vec<usize>) {
        let dims = x.layout().shape().to_vec();
        let [_, batch, height, width, _] = dims[..] else {
            unreachable!("not a map: {dims:?}")
        };
        let shape = if self.transposed {
            [batch, self.geometry.inputs, 2 * height, 2 * width]
        } else {
            [batch, self.geometry.inputs, height, width]
        };
        let conv = Convolution::new(&CONTEXT, self.geometry, shape);
        (conv.with(*AMX), dims)
    }
}

/// Regions of a map, each of an image of its batch, `[regions, channels, size, size]`. `scale` is the size of one pixel
/// of the picture on the map.
pub(super) fn pool(
    how: RoiAlign,
    map: &Blocked,
    scale: f32,
    boxes: Vec<(usize, [f32; 4])>,
) -> Blocked {
    let pooling = Pooling {
        how,
        scale,
        channels: map.channels,
        boxes: boxes.into(),
    };
    let x = map.tensor.clone().into_dispatch();
    Blocked {
        tensor: Tensor::from_dispatch(Dispatch::pool(x, pooling)),
        channels: map.channels,
    }
}

/// Where regions are taken.
#[derive(Clone, Debug)]
pub(super) struct Pooling {
    how: RoiAlign,
    scale: f32,
    channels: usize,
    boxes: Arc<[(usize, [f32; 4])]>,
}

impl Pooling {
    /// Of a map with these axes.
    fn on(&self, dims: &[usize]) -> Regions<'_> {
        let [_, batch, height, width, _] = *dims else {
            unreachable!("not a map: {dims:?}")
        };
        Regions {
            context: &CONTEXT,
            how: self.how,
            shape: [batch, self.channels, height, width],
            scale: self.scale,
            boxes: &self.boxes,
        }
    }

    fn run(&self, x: &FloatTensor<Flex>) -> FloatTensor<Flex> {
        let regions = self.on(x.layout().shape());
        let [count, channels, height, width] = regions.output_shape();
        let blocks = channels.div_ceil(LANES);
        let pooled = regions.forward(values(x));
        tensor(pooled, [blocks, count, height, width, LANES])
    }
}

/// A matrix with the singular vectors of this one, and singular values near 1, as Muon's steps have (Jordan, 2024).
///
/// # Panics
/// Where it is not one of burn's own processor's floats.
#[expect(clippy::expect_used, reason = "floats, says the caller")]
pub fn orthogonal(matrix: Tensor<2>) -> Tensor<2> {
    let (shape, device) = (matrix.dims(), matrix.device());
    let values: Vec<f32> = matrix.into_data().try_into_vec().expect("floats");
    let values = training::orthogonal(&CONTEXT, *AMX, &values, shape);
    Tensor::from_data(TensorData::new(values, shape), &device)
}

/// What burn does not have. All is in the layout of the kernels, but for weights and biases.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Blocks: Backend {
    /// Regions of a map.
    fn pool(x: FloatTensor<Self>, pooling: Pooling) -> FloatTensor<Self>;

    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self>;

    /// With the residual added before the result is rectified.
    fn convolve_and_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self>;
}

/// Its values, one after the other.
#[expect(clippy::expect_used, reason = "floats, as asked for, and contiguous")]
fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor.as_slice().expect("contiguous floats")
}

fn tensor(values: Vec<f32>, shape: impl Into<Vec<usize>>) -> FloatTensor<Flex> {
    let shape: Vec<usize> = shape.into();
    FloatTensor::<Flex>::from_data(TensorData::new(values, shape))
}

impl Blocks for Flex {
    fn pool(x: FloatTensor<Self>, pooling: Pooling) -> FloatTensor<Self> {
        pooling.run(&x.to_contiguous())
    }

    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self> {
        layer.run([x, weight, bias], None)
    }

    fn convolve_and_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self> {
        layer.run([x, weight, bias], Some(residual))
    }
}

impl<C: CheckpointStrategy> Blocks for Autodiff<Flex, C> {
    fn pool(x: FloatTensor<Self>, pooling: Pooling) -> FloatTensor<Self> {
        let (x, of_x) = x.into_parts();
        let x = x.to_contiguous();
        let y = pooling.run(&x);
        match Spread.prepare::<C>([of_x]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((pooling, x.layout().shape().to_vec()), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self> {
        let parts = [x, weight, bias].map(FloatTensor::<Self>::into_parts);
        let [(x, of_x), (weight, of_weight), (bias, of_bias)] = parts;
        layer.record::<C, 3>([of_x, of_weight, of_bias], [x, weight, bias], None)
    }

    fn convolve_and_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self> {
        let parts = [x, weight, bias, residual].map(FloatTensor::<Self>::into_parts);
        let [
            (x, of_x),
            (weight, of_weight),
            (bias, of_bias),
            (residual, of_residual),
        ] = parts;
        let parents = [of_x, of_weight, of_bias, of_residual];
        layer.record::<C, 4>(parents, [x, weight, bias], Some(residual))
    }
}

impl Layer {
    /// Of input, weight and bias.
    fn run(
        self,
        tensors: [FloatTensor<Flex>; 3],
        residual: Option<FloatTensor<Flex>>,
    ) -> FloatTensor<Flex> {
        let [x, weight, bias] = tensors.map(|tensor| tensor.to_contiguous());
        let residual = residual.map(|residual| residual.to_contiguous());
        let (conv, _) = self.on(&x);
        let parameters = [values(&weight), values(&bias)];
        let (y, [batch, _, height, width]) = if self.transposed {
            let y = conv.transposed(parameters, self.activation(), values(&x));
            (y, conv.input_shape())
        } else {
            let residual = residual.as_ref().map(values);
            let y = conv.forward(parameters, self.activation(), values(&x), residual);
            (y, conv.output_shape())
        };
        let blocks = self.outputs().div_ceil(LANES);
        tensor(y, [blocks, batch, height, width, LANES])
    }

    /// As [`run`](Self::run), and notes how to go back to those that it came from.
    fn record<C: CheckpointStrategy, const N: usize>(
        self,
        parents: [NodeGuard; N],
        tensors: [FloatTensor<Flex>; 3],
        residual: Option<FloatTensor<Flex>>,
    ) -> FloatTensor<Autodiff<Flex, C>> {
        let tensors = tensors.map(|tensor| tensor.to_contiguous());
        let y = self.run(tensors.clone(), residual);
        match Step.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let [x, weight, _] = tensors;
                let state = State {
                    layer: self,
                    x,
                    weight,
                    rectified: self.rectifies.then(|| y.clone()),
                };
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

/// The step back from regions to their map.
#[derive(Debug)]
struct Spread;

impl Backward<Flex, 1> for Spread {
    /// And the axes of the map.
    type State = (Pooling, Vec<usize>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (pooling, dims) = ops.state;
        let of_output = gradients.consume::<Flex>(&ops.node).to_contiguous();
        if let [Some(node)] = &ops.parents {
            let gradient = pooling.on(&dims).gradient(values(&of_output));
            gradients.register::<Flex>(node.id, tensor(gradient, dims));
        }
    }
}

/// The step back: of input, weight and bias, and of the residual where there is one.
#[derive(Debug)]
struct Step;

/// What it takes for that.
#[derive(Clone, Debug)]
struct State {
    layer: Layer,
    x: FloatTensor<Flex>,
    weight: FloatTensor<Flex>,
    /// The result, where it was rectified.
    rectified: Option<FloatTensor<Flex>>,
}

impl<const N: usize> Backward<Flex, N> for Step {
    type State = State;

    fn backward(
        self,
        ops: Ops<State, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let State {
            layer,
            x,
            weight,
            rectified,
        } = ops.state;
        let of_output = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (conv, dims) = layer.on(&x);
        let shape = of_output.layout().shape().to_vec();
        let rectified = rectified.as_ref().map(values);
        let behind = if layer.transposed {
            conv.transposed_output_gradient(rectified, values(&of_output))
        } else {
            conv.output_gradient(rectified, values(&of_output))
        };
        let of_sums = behind.sums.map_or(of_output, |sums| tensor(sums, shape));
        let parent = |index: usize| ops.parents.get(index).and_then(Option::as_ref);
        if let Some(node) = parent(0) {
            let gradient = if layer.transposed {
                let none = vec![0.0; layer.geometry.outputs];
                let parameters = [values(&weight), &none];
                conv.forward(parameters, Activation::Identity, values(&of_sums), None)
            } else {
                conv.input_gradient(values(&weight), values(&of_sums))
            };
            gradients.register::<Flex>(node.id, tensor(gradient, dims));
        }
        if let Some(node) = parent(1) {
            let gradient = if layer.transposed {
                conv.weight_gradient(values(&of_sums), values(&x))
            } else {
                conv.weight_gradient(values(&x), values(&of_sums))
            };
            let shape = layer.geometry.weight_shape();
            gradients.register::<Flex>(node.id, tensor(gradient, shape));
        }
        if let Some(node) = parent(2) {
            gradients.register::<Flex>(node.id, tensor(behind.bias, [layer.outputs()]));
        }
        if let Some(node) = parent(3) {
            gradients.register::<Flex>(node.id, of_sums);
        }
    }
}
