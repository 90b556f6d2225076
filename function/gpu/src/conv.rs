//! Convolutions, dense, depthwise and transposed, with all that follows them.

use std::sync::Arc;

use segmenter_kernels::{Activation, Geometry, Span};

use crate::{
    gpu::Gpu,
    map::{Map, QUAD, quads},
    memory::{Block, Use},
    shader::{Kernel, Shader},
    tiling::Tiling,
    trace::named,
};

/// A convolution, its bias, and the activation after it.
#[derive(Debug)]
pub struct Conv(Parameters);

impl Conv {
    /// From values: `weight` in the order of [`Geometry::weight_shape`], `bias` one an output channel.
    pub fn new(
        gpu: &Arc<Gpu>,
        geometry: Geometry,
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Self {
        let weights = if geometry.is_depthwise() {
            Block::of(gpu, &pack_depthwise(&geometry, weight))
        } else {
            factors(gpu, &geometry, weight)
        };
        Self(Parameters {
            geometry,
            activation,
            weights,
            bias: Block::of(gpu, &padded(bias)),
        })
    }

    /// `activation(conv(x) + bias + residual)`: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`, the shape of the
    /// residual.
    ///
    /// # Panics
    /// If a map has other channels or another size.
    pub fn forward(&self, x: &Map, residual: Option<&Map>) -> Map {
        let shape = self.0.output_shape(x);
        if let Some(residual) = residual {
            assert_eq!(residual.shape(), shape, "shape of a residual");
        }
        let y = Map::any(x.gpu(), shape);
        if self.0.geometry.is_depthwise() {
            self.0.depthwise(x, residual, &y);
        } else {
            self.0.dense(x, residual, &y, false);
        }
        y
    }
}

/// A transposed convolution that doubles the sides of its map (kernel and stride 2), its bias, and the activation
/// after it.
#[derive(Debug)]
pub struct ConvTranspose {
    /// From the input to the four pixels that each of its pixels becomes.
    parameters: Parameters,
    outputs: usize,
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
        Self {
            parameters: Parameters {
                geometry,
                activation,
                weights: factors(gpu, &geometry, &pointwise),
                bias: Block::of(gpu, &padded(bias).repeat(4)),
            },
            outputs,
        }
    }

    /// `[batch, inputs, h, w]` to `[batch, outputs, 2h, 2w]`.
    ///
    /// # Panics
    /// If the map has other channels.
    pub fn forward(&self, x: &Map) -> Map {
        let [batch, _, height, width] = self.parameters.output_shape(x);
        let y = Map::any(x.gpu(), [batch, self.outputs, 2 * height, 2 * width]);
        self.parameters.dense(x, None, &y, true);
        y
    }
}

/// What is known of a convolution before its input.
#[derive(Debug)]
struct Parameters {
    geometry: Geometry,
    activation: Activation,
    weights: Block,
    bias: Block,
}

impl Parameters {
    fn output_shape(&self, x: &Map) -> [usize; 4] {
        let [_, inputs, ..] = x.shape();
        assert_eq!(inputs, self.geometry.inputs, "channels of a map");
        self.geometry.output_shape(x.shape())
    }

    /// `doubled` where the channels are those of four pixels of `y`.
    fn dense(&self, x: &Map, residual: Option<&Map>, y: &Map, doubled: bool) {
        let gpu = x.gpu();
        let [_, inputs, rows, columns] = x.shape();
        let [batch, outputs, out_rows, out_columns] = self.output_shape(x);
        let (pixels, out_quads) = (batch * out_rows * out_columns, quads(outputs));
        let summed = self.geometry.kernel * self.geometry.kernel * quads(inputs);
        let Tiling { tile, part, groups } = Tiling::of(gpu.matrices(), [pixels, out_quads], summed);
        let [_, _, parts] = groups;
        let (piece, wide) = piece(gpu, inputs);

        let after = |shader: Shader, residual: Option<&Map>| {
            shader
                .activation(self.activation)
                .constant("RESIDUAL", usize::from(residual.is_some()))
                .constant("DOUBLED", usize::from(doubled))
        };
        let sizes = [
            rows,
            columns,
            quads(inputs) / wide,
            out_rows,
            out_columns,
            out_quads,
            pixels,
            part / wide,
        ];
        let product = self
            .shader(tile.kernel())
            .constant("PARTS", usize::from(parts > 1))
            .alias("Piece", piece)
            .alias("Out", if parts > 1 { "vec4<f32>" } else { "Quad" });
        let product = tile.constants(product, wide);
        let span = || self.span("conv", y);
        let [input, weights, bias, added, output] = self.buffers(x, residual, y.buffer());
        if parts == 1 {
            let buffers = [input, weights, bias, added, output];
            gpu.run(after(product, residual), &buffers, &sizes, groups, span);
            return;
        }
        let items = pixels * out_quads;
        let sums = Block::take(gpu, Use::Compute, parts * items * QUAD * size_of::<f32>());
        let buffers = [input, weights, bias, bias, sums.buffer()];
        gpu.run(after(product, None), &buffers, &sizes, groups, span);
        gpu.run_each(
            after(Shader::new(Kernel::ConvSum).alias("Out", "Quad"), residual),
            &[sums.buffer(), bias, added, output],
            &[out_columns, out_quads, parts],
            items,
            || named("sums of parts", y),
        );
    }

    fn depthwise(&self, x: &Map, residual: Option<&Map>, y: &Map) {
        let [_, channels, rows, columns] = x.shape();
        let [_, _, out_rows, out_columns] = y.shape();
        let shader = self
            .shader(Kernel::Depthwise)
            .activation(self.activation)
            .constant("RESIDUAL", usize::from(residual.is_some()));
        let sizes = [rows, columns, quads(channels), out_rows, out_columns];
        let buffers = self.buffers(x, residual, y.buffer());
        let span = || self.span("depthwise", y);
        x.gpu().run_each(shader, &buffers, &sizes, y.quads(), span);
    }

    fn shader(&self, kernel: Kernel) -> Shader {
        Shader::new(kernel)
            .constant("KERNEL", self.geometry.kernel)
            .constant("STRIDE", self.geometry.stride)
            .constant("PADDING", self.geometry.padding[0])
            .constant("DILATION", self.geometry.dilation)
    }

    /// As all kernels of convolutions bind them.
    fn buffers<'a>(
        &'a self,
        x: &'a Map,
        residual: Option<&'a Map>,
        y: &'a wgpu::Buffer,
    ) -> [&'a wgpu::Buffer; 5] {
        let bias = self.bias.buffer();
        let residual = residual.map_or(bias, Map::buffer);
        [x.buffer(), self.weights.buffer(), bias, residual, y]
    }

    fn span(&self, what: &str, y: &Map) -> Span {
        let Geometry {
            inputs,
            outputs,
            kernel,
            groups,
            ..
        } = self.geometry;
        let [batch, _, height, width] = y.shape();
        let pixels = batch * height * width;
        Span {
            multiplications: pixels * outputs * inputs / groups * kernel * kernel,
            ..named(&format!("{what} {kernel}x{kernel} {inputs}->{outputs}"), y)
        }
    }
}

/// What the kernels of dense convolutions read at once of a map with so many channels: its type, and quads of it.
fn piece(gpu: &Gpu, channels: usize) -> (&'static str, usize) {
    match gpu.matrices() {
        true if quads(channels).is_multiple_of(2) => ("array<Quad, 2>", 2),
        true => ("array<Quad, 1>", 1),
        false => ("Quad", 1),
    }
}

/// The factors of a dense convolution, in the order that its kernels read them in.
fn factors(gpu: &Arc<Gpu>, geometry: &Geometry, weight: &[f32]) -> Block {
    // Of output channels.
    let together = if gpu.matrices() { 2 * QUAD } else { QUAD };
    let mut packed = pack(geometry, weight, together);
    if gpu.matrices() {
        // For what is read beyond the last input.
        let zeros = geometry.outputs.next_multiple_of(together);
        packed.resize(packed.len() + zeros, 0.0);
    }
    Block::of_floats(gpu, &packed)
}

/// Zeros behind the last quad.
fn padded(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.resize(quads(values.len()) * QUAD, 0.0);
    values
}

/// `[output, input of a group, row, column]` to `[row, column, input, output]`, with zeros behind the last channels, up to
/// so many outputs `together`, and where an input is another group's.
fn pack(geometry: &Geometry, weight: &[f32], together: usize) -> Vec<f32> {
    let [outputs, inputs, kernel, _] = geometry.weight_shape();
    let all_inputs = quads(geometry.inputs) * QUAD;
    let all_outputs = outputs.next_multiple_of(together);
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
