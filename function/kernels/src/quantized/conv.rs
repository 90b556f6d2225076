//! Convolution in integers with what follows it: bias, activation, residual.

use std::{fmt, sync::Arc};

use super::{
    Quantization, QuantizedMap,
    convert::QuantizedPicture,
    dense::{Dense, Source},
    depthwise::Depthwise,
    requantize::{Output, Requantize, Sum},
};
use crate::{
    Activation, Geometry,
    isa::Isa,
    map::{Context, Map},
    trace::Timed,
};

/// Weights of 8 bits: `value * scale`, each output channel with its own scale.
#[derive(Clone, Copy, Debug)]
pub struct QuantizedWeight<'a> {
    /// In the order of [`Geometry::weight_shape`], -255 to 255: the zero point is taken away. Those that a byte
    /// cannot hold take more time on some processors, which does not count as long as they are few.
    pub values: &'a [i16],
    /// One an output channel.
    pub scales: &'a [f32],
}

/// A 2-D convolution of bytes, its bias, and the activation after it.
///
/// The output byte for the exact sum of `(x - zero_point) * w` is
/// `clamp(round((sum + bias / (s_x * s_w)) * (s_x * s_w / s_y)) + zero_point)`, computed in 32-bit floats, with
/// the scales of input, weight and output.
pub struct QuantizedConv {
    /// What the weights are packed for.
    isa: Isa,
    geometry: Geometry,
    input: Quantization,
    requantize: Requantize,
    method: Method,
}

enum Method {
    Dense(Dense),
    Depthwise(Depthwise),
}

impl QuantizedConv {
    /// `bias` has one value an output channel. It and `activation` are of the real values, not of bytes; the
    /// activation is the identity, ReLU or ReLU6.
    ///
    /// A linear layer is a convolution of side 1 on maps of one pixel.
    ///
    /// # Panics
    /// If the lengths are not those of the geometry, if a weight is greater, if there are groups and it is not
    /// depthwise, or if the activation is another.
    pub fn new(
        isa: Isa,
        geometry: Geometry,
        weight: QuantizedWeight<'_>,
        bias: Option<&[f32]>,
        activation: Activation,
        [input, output]: [Quantization; 2],
    ) -> Self {
        let QuantizedWeight { values, scales } = weight;
        assert_eq!(values.len(), geometry.weight_shape().iter().product());
        assert!(values.iter().all(|value| (-255..=255).contains(value)));
        assert_eq!(scales.len(), geometry.outputs);
        assert!(bias.is_none_or(|bias| bias.len() == geometry.outputs));
        assert!(geometry.stride > 0 && geometry.dilation > 0 && geometry.kernel > 0);
        let method = if geometry.is_depthwise() {
            Method::Depthwise(Depthwise::new(isa, &geometry, values, input.zero_point))
        } else {
            assert_eq!(geometry.groups, 1, "groups that are not depthwise");
            Method::Dense(Dense::new(isa, &geometry, values, input.zero_point))
        };
        let reach = reach(values, geometry.outputs);
        Self {
            isa,
            geometry,
            input,
            requantize: Requantize::new(input, scales, &reach, bias, activation, output),
            method,
        }
    }

    /// How it moves over its input.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What the bytes of its input have to stand for.
    pub fn input(&self) -> Quantization {
        self.input
    }

    /// What the bytes of its output stand for.
    pub fn output(&self) -> Quantization {
        self.requantize.output()
    }

    /// `activation(conv(x) + bias)`: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`.
    ///
    /// # Panics
    /// If the input has other channels, or its bytes stand for something else.
    pub fn forward(&self, x: &QuantizedMap) -> QuantizedMap {
        self.check(x);
        let shape = self.geometry.output_shape(x.shape());
        let _timed = self.timed(x.context(), shape);
        let mut y = QuantizedMap::any(x.context(), shape, self.output());
        match &self.method {
            Method::Dense(dense) => {
                let to = Output::Bytes(y.values.as_mut_ptr());
                self.run(dense, &Source::map(x), shape, to);
            }
            Method::Depthwise(depthwise) => {
                depthwise.forward(self.isa, &self.requantize, x, false, &mut y);
            }
        }
        y
    }

    /// [`forward`](Self::forward) and, in one go, [`QuantizedMap::add`] of `residual`.
    ///
    /// # Panics
    /// As `forward`, and if the residual has not the output's shape.
    pub fn forward_add(
        &self,
        x: &QuantizedMap,
        residual: &QuantizedMap,
        sum: Quantization,
    ) -> QuantizedMap {
        let Method::Dense(dense) = &self.method else {
            return self.forward(x).add(residual, sum);
        };
        self.check(x);
        let shape = self.geometry.output_shape(x.shape());
        let _timed = self.timed(x.context(), shape);
        assert_eq!(residual.shape(), shape, "shape of the residual");
        let mut y = QuantizedMap::any(x.context(), shape, sum);
        let to = Output::Sum {
            y: y.values.as_mut_ptr(),
            residual: residual.values.as_ptr(),
            sum: &Sum::new([self.output(), residual.quantization()], sum),
        };
        self.run(dense, &Source::map(x), shape, to);
        y
    }

    /// What the bytes of [`forward`](Self::forward) stand for.
    ///
    /// # Panics
    /// As `forward`.
    pub fn forward_dequantized(&self, x: &QuantizedMap) -> Map {
        let Method::Dense(dense) = &self.method else {
            return self.forward(x).dequantize();
        };
        self.check(x);
        let shape = self.geometry.output_shape(x.shape());
        let _timed = self.timed(x.context(), shape);
        let mut y = Map::any(x.context(), shape);
        let to = Output::Floats(y.values.as_mut_ptr());
        self.run(dense, &Source::map(x), shape, to);
        y
    }

    /// The first convolution of a network, of pictures: `[batch, 3, h, w]` to `[batch, outputs, h', w']`.
    ///
    /// # Panics
    /// If it does not take three channels, is depthwise, or the picture's bytes stand for something else.
    #[expect(clippy::panic, reason = "as said above")]
    pub fn forward_picture(
        &self,
        context: &Arc<Context>,
        picture: &QuantizedPicture,
    ) -> QuantizedMap {
        let Method::Dense(dense) = &self.method else {
            panic!("depthwise: {:?}", self.geometry);
        };
        let shape = picture.shape();
        assert_eq!(shape[1], self.geometry.inputs, "channels of the input");
        assert_eq!(
            picture.quantization(),
            self.input,
            "what the input stands for"
        );
        let shape = self.geometry.output_shape(shape);
        let _timed = self.timed(context, shape);
        let mut y = QuantizedMap::any(context, shape, self.output());
        let to = Output::Bytes(y.values.as_mut_ptr());
        self.run(dense, &Source::picture(picture), shape, to);
        y
    }

    /// As [`forward`](Self::forward) on `x` with its sides doubled, every pixel repeated. For depthwise
    /// convolutions of stride 1 that keep the size of a map; the doubled map is never made.
    ///
    /// # Panics
    /// If it is not such a convolution, and as `forward`.
    #[expect(clippy::panic, reason = "as said above")]
    pub fn forward_doubled(&self, x: &QuantizedMap) -> QuantizedMap {
        let Method::Depthwise(depthwise) = &self.method else {
            panic!("not depthwise: {:?}", self.geometry);
        };
        self.check(x);
        let [batch, channels, height, width] = x.shape();
        let doubled = [batch, channels, 2 * height, 2 * width];
        let shape = self.geometry.output_shape(doubled);
        assert_eq!(shape, doubled, "keeps the size of its map");
        let _timed = self.timed(x.context(), shape);
        let mut y = QuantizedMap::any(x.context(), shape, self.output());
        depthwise.forward(self.isa, &self.requantize, x, true, &mut y);
        y
    }

    fn timed<'a>(&self, context: &'a Context, output: [usize; 4]) -> Option<Timed<'a>> {
        let multiplications = self.geometry.multiplications(output);
        context.timed(
            || format!("bytes {}", self.geometry),
            output,
            multiplications,
        )
    }

    fn check(&self, x: &QuantizedMap) {
        assert_eq!(x.shape()[1], self.geometry.inputs, "channels of the input");
        assert_eq!(x.quantization(), self.input, "what the input stands for");
    }

    /// `to` has room for the `shape`.
    fn run(&self, dense: &Dense, x: &Source<'_>, [_, _, rows, columns]: [usize; 4], to: Output) {
        dense.forward(self.isa, &self.requantize, x, [rows, columns], to);
    }
}

/// The most that the sum of each output can be.
fn reach(weight: &[i16], outputs: usize) -> Vec<f32> {
    let of_output = weight.chunks(weight.len().div_ceil(outputs.max(1)).max(1));
    let sizes = of_output.map(|weight| weight.iter().map(|w| f32::from(w.abs())).sum());
    sizes.map(|size: f32| size * f32::from(u8::MAX)).collect()
}

impl fmt::Debug for QuantizedConv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantizedConv")
            .field("geometry", &self.geometry)
            .field("input", &self.input)
            .field("output", &self.output())
            .finish_non_exhaustive()
    }
}
