//! Convolutions, dense, depthwise and transposed, with all that follows them.

use std::sync::Arc;

use segmenter_kernels::{Activation, Geometry};

use crate::{
    gpu::Gpu,
    map::{Map, QUAD, quads},
    memory::Block,
    shader::Shader,
};

/// Workgroups that keep a GPU busy, about; where large tiles make fewer, small ones are made.
const BUSY: usize = 256;

/// Quads along the side of a tile whose threads make one quad by one.
const SIDE: usize = 8;

/// A convolution, its bias, and the activation after it.
#[derive(Debug)]
pub struct Conv {
    geometry: Geometry,
    activation: Activation,
    weights: Block,
    bias: Block,
}

impl Conv {
    /// From values: `weight` in the order of [`Geometry::weight_shape`], `bias` one an output channel.
    pub fn new(
        gpu: &Arc<Gpu>,
        geometry: Geometry,
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Self {
        let packed = if geometry.is_depthwise() {
            pack_depthwise(&geometry, weight)
        } else {
            pack(&geometry, weight)
        };
        Self {
            geometry,
            activation,
            weights: Block::of(gpu, &packed),
            bias: Block::of(gpu, &padded(bias)),
        }
    }

    /// `activation(conv(x) + bias + residual)`: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`, the shape of the
    /// residual.
    ///
    /// # Panics
    /// If a map has other channels or another size.
    pub fn forward(&self, x: &Map, residual: Option<&Map>) -> Map {
        let geometry = &self.geometry;
        assert_eq!(x.shape()[1], geometry.inputs, "channels of a map");
        let shape = geometry.output_shape(x.shape());
        if let Some(residual) = residual {
            assert_eq!(residual.shape(), shape, "shape of a residual");
        }
        let y = Map::any(x.gpu(), shape);
        if geometry.is_depthwise() {
            self.depthwise(x, residual, &y);
        } else {
            let product = Product {
                geometry,
                activation: self.activation,
                doubled: false,
                weights: &self.weights,
                bias: &self.bias,
            };
            let [_, _, rows, columns] = shape;
            product.run(x, residual, &y, [rows, columns], quads(geometry.outputs));
        }
        y
    }

    fn depthwise(&self, x: &Map, residual: Option<&Map>, y: &Map) {
        let [_, channels, rows, columns] = x.shape();
        let [batch, _, out_rows, out_columns] = y.shape();
        let shader = Shader::new("depthwise", include_str!("shaders/depthwise.wgsl"), 4, 6)
            .activation(self.activation);
        let shader = of_geometry(shader, &self.geometry, residual.is_some());
        let pixels = batch * out_rows * out_columns;
        let sizes = [
            rows,
            columns,
            quads(channels),
            out_rows,
            out_columns,
            pixels,
        ];
        let residual = residual.map_or(self.bias.buffer(), Map::buffer);
        let gpu = x.gpu();
        gpu.run_each(
            &gpu.pipeline(shader),
            &[
                x.buffer(),
                self.weights.buffer(),
                self.bias.buffer(),
                residual,
                y.buffer(),
            ],
            &sizes.map(|size| size as u32),
            pixels * quads(channels),
        );
    }
}

/// A transposed convolution that doubles the sides of its map (kernel and stride 2), its bias, and the activation
/// after it.
#[derive(Debug)]
pub struct ConvTranspose {
    /// From the input to the four pixels that each of its pixels becomes.
    geometry: Geometry,
    activation: Activation,
    outputs: usize,
    weights: Block,
    bias: Block,
}

impl ConvTranspose {
    /// From values: `weight` `[inputs, outputs, 2, 2]`, `bias` one an output channel.
    pub fn new(
        gpu: &Arc<Gpu>,
        [inputs, outputs]: [usize; 2],
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Self {
        let channels = quads(outputs) * QUAD;
        let geometry = Geometry::new(inputs, 4 * channels, 1);
        let mut pointwise = vec![0.0; inputs * 4 * channels];
        for (i, value) in weight.iter().enumerate() {
            let [input, output, part] = [i / 4 / outputs, i / 4 % outputs, i % 4];
            pointwise[(part * channels + output) * inputs + input] = *value;
        }
        let bias = padded(bias).repeat(4);
        Self {
            geometry,
            activation,
            outputs,
            weights: Block::of(gpu, &pack(&geometry, &pointwise)),
            bias: Block::of(gpu, &bias),
        }
    }

    /// `[batch, inputs, h, w]` to `[batch, outputs, 2h, 2w]`.
    ///
    /// # Panics
    /// If the map has other channels.
    pub fn forward(&self, x: &Map) -> Map {
        let [batch, inputs, height, width] = x.shape();
        assert_eq!(inputs, self.geometry.inputs, "channels of a map");
        let y = Map::any(x.gpu(), [batch, self.outputs, 2 * height, 2 * width]);
        let product = Product {
            geometry: &self.geometry,
            activation: self.activation,
            doubled: true,
            weights: &self.weights,
            bias: &self.bias,
        };
        product.run(x, None, &y, [height, width], quads(self.geometry.outputs));
        y
    }
}

/// A dense convolution.
struct Product<'a> {
    geometry: &'a Geometry,
    activation: Activation,
    /// Whether its channels are those of four pixels of `y`.
    doubled: bool,
    weights: &'a Block,
    bias: &'a Block,
}

impl Product<'_> {
    fn run(
        &self,
        x: &Map,
        residual: Option<&Map>,
        y: &Map,
        [out_rows, out_columns]: [usize; 2],
        out_quads: usize,
    ) {
        let [batch, inputs, rows, columns] = x.shape();
        let pixels = batch * out_rows * out_columns;
        let tiles = |side: usize| {
            [
                pixels.div_ceil(QUAD).div_ceil(side),
                out_quads.div_ceil(side),
            ]
        };
        let large = tiles(2 * SIDE);
        let (threads_side, tiles) = if large[0] * large[1] >= BUSY {
            (2, large)
        } else {
            (1, tiles(SIDE))
        };
        let shader = Shader::new("conv", include_str!("shaders/conv.wgsl"), 4, 7)
            .constant("G", threads_side)
            .constant("H", threads_side)
            .constant("I", QUAD)
            .constant("C", QUAD)
            .constant("DOUBLED", usize::from(self.doubled))
            .activation(self.activation);
        let shader = of_geometry(shader, self.geometry, residual.is_some());
        let sizes = [
            rows,
            columns,
            quads(inputs),
            out_rows,
            out_columns,
            out_quads,
            pixels,
        ];
        let residual = residual.map_or(self.bias.buffer(), Map::buffer);
        let gpu = x.gpu();
        gpu.run(
            &gpu.pipeline(shader),
            &[
                x.buffer(),
                self.weights.buffer(),
                self.bias.buffer(),
                residual,
                y.buffer(),
            ],
            &sizes.map(|size| size as u32),
            tiles,
        );
    }
}

fn of_geometry(shader: Shader, geometry: &Geometry, residual: bool) -> Shader {
    shader
        .constant("KERNEL", geometry.kernel)
        .constant("STRIDE", geometry.stride)
        .constant("PADDING", geometry.padding[0])
        .constant("DILATION", geometry.dilation)
        .constant("RESIDUAL", usize::from(residual))
}

/// Zeros behind the last quad.
fn padded(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.resize(quads(values.len()) * QUAD, 0.0);
    values
}

/// `[output, input of a group, row, column]` to `[row, column, input, output]`, with zeros behind the last channels, and
/// where an input is another group's.
fn pack(geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
    let [outputs, inputs, kernel, _] = geometry.weight_shape();
    let [all_inputs, all_outputs] = [geometry.inputs, outputs].map(|n| quads(n) * QUAD);
    let taps = kernel * kernel;
    let mut packed = vec![0.0; taps * all_inputs * all_outputs];
    for (i, value) in weight.iter().enumerate() {
        let [output, input, tap] = [i / taps / inputs, i / taps % inputs, i % taps];
        let group = output / (outputs / geometry.groups);
        let input = group * inputs + input;
        packed[(tap * all_inputs + input) * all_outputs + output] = *value;
    }
    packed
}

/// `[channel, 1, row, column]` to `[row, column, channel]`, with zeros behind the last channel.
fn pack_depthwise(geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
    let taps = geometry.kernel * geometry.kernel;
    let channels = quads(geometry.outputs) * QUAD;
    let mut packed = vec![0.0; taps * channels];
    for (i, value) in weight.iter().enumerate() {
        packed[i % taps * channels + i / taps] = *value;
    }
    packed
}
