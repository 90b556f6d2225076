//! Convolution with what follows it: bias, residual, activation.

mod class;
mod depthwise;
mod direct;
mod source;
mod tile;
mod transposed;
mod widened;
mod winograd;

use std::{fmt, sync::Arc};

#[cfg(feature = "training")]
pub(crate) use self::winograd::weight_gradient;
pub use self::{class::ClassConv, transposed::ConvTranspose};
use self::{depthwise::Depthwise, direct::Direct, winograd::Winograd};
pub(crate) use self::{
    direct::{Columns, groups, stretches},
    source::Source,
};
use crate::{
    Activation,
    arena::Arena,
    isa::Isa,
    map::{Context, Map},
    picture::Picture,
    trace::Timed,
};

/// How a convolution moves over its input. The same in both directions, but for the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Side of the square kernel, in pixels.
    pub kernel: usize,
    /// Step between outputs, in input pixels.
    pub stride: usize,
    /// Zero pixels before (top, left) and after (bottom, right) the input.
    pub padding: [usize; 2],
    /// Distance between kernel taps, in input pixels.
    pub dilation: usize,
    /// Channel groups; `inputs` for a depthwise convolution.
    pub groups: usize,
}

impl Geometry {
    /// A dense kernel of an odd side, stride 1, padded so that the map keeps its size.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            stride: 1,
            padding: [kernel / 2; 2],
            dilation: 1,
            groups: 1,
        }
    }

    /// One kernel a channel, otherwise as [`new`](Self::new).
    pub fn depthwise(channels: usize, kernel: usize) -> Self {
        Self {
            groups: channels,
            ..Self::new(channels, channels, kernel)
        }
    }

    /// With this step between outputs.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With this distance between taps, padded so that a map at stride 1 keeps its size.
    #[must_use]
    pub fn dilation(self, dilation: usize) -> Self {
        Self {
            dilation,
            padding: [self.kernel / 2 * dilation; 2],
            ..self
        }
    }

    /// With this many zero pixels before and after.
    #[must_use]
    pub fn padding(self, before: usize, after: usize) -> Self {
        Self {
            padding: [before, after],
            ..self
        }
    }

    /// Shape of the weight, `[out_channels, in_channels / groups, kernel, kernel]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [
            self.outputs,
            self.inputs / self.groups,
            self.kernel,
            self.kernel,
        ]
    }

    /// Height or width of the output for that of an input: `(length + padding - reach) / stride + 1`,
    /// where `reach` is how much of the padded input a kernel covers; 0 where it covers more than all.
    pub fn output_length(&self, length: usize) -> usize {
        let reach = (self.kernel - 1) * self.dilation + 1;
        let padded = length + self.padding[0] + self.padding[1];
        padded
            .checked_sub(reach)
            .map_or(0, |rest| rest / self.stride + 1)
    }

    /// Shape of the output for that of an input, both `[batch, channels, height, width]`.
    pub fn output_shape(&self, [batch, _, height, width]: [usize; 4]) -> [usize; 4] {
        [
            batch,
            self.outputs,
            self.output_length(height),
            self.output_length(width),
        ]
    }

    /// Multiplications of the definition for an output of this shape.
    pub(crate) fn multiplications(&self, output: [usize; 4]) -> usize {
        let per_output: usize = self.weight_shape()[1..].iter().product();
        output.iter().product::<usize>() * per_output
    }

    /// Whether outputs are the pixels of the input, one for one.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == [0; 2]
    }

    /// Whether the kernel lies on the whole map at once: a fully connected layer.
    fn covers(&self, map: [usize; 2]) -> bool {
        map == [self.kernel; 2] && self.padding == [0; 2] && self.dilation == 1
    }

    /// Whether it has one kernel a channel.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.inputs == self.outputs
    }

    /// Those taps of a row or column of the kernel, from the first to one past the last, that lie on the input
    /// for the output at `position`, and where on it the first does; no taps, and 0, if all lie beside it.
    #[inline(always)]
    pub(crate) fn taps(&self, position: usize, length: usize) -> ([usize; 2], usize) {
        let (origin, padding) = (position * self.stride, self.padding[0]);
        let first = padding.saturating_sub(origin).div_ceil(self.dilation);
        let rest = (length + padding).saturating_sub(origin);
        let end = rest.div_ceil(self.dilation).min(self.kernel);
        if first < end {
            ([first, end], origin + first * self.dilation - padding)
        } else {
            ([0, 0], 0)
        }
    }
}

/// Kernel, channels, and what is not 1: `5x5 64->64 stride 2`.
impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inputs,
            outputs,
            kernel,
            stride,
            dilation,
            ..
        } = self;
        write!(f, "{kernel}x{kernel} {inputs}->{outputs}")?;
        for (name, value) in [("stride", stride), ("dilation", dilation)] {
            if *value != 1 {
                write!(f, " {name} {value}")?;
            }
        }
        Ok(())
    }
}

/// A 2-D convolution, its bias, and the activation after it, with the weights in the order in which a set
/// of instructions wants them.
pub struct Conv {
    geometry: Geometry,
    activation: Activation,
    method: Method,
}

enum Method {
    Direct(Direct),
    Winograd(Winograd),
    Depthwise(Depthwise),
}

impl Conv {
    /// `weight` is in the order of [`Geometry::weight_shape`], `bias` has one value an output channel.
    ///
    /// Convolutions in groups that are not depthwise run as dense ones with zeros between the groups.
    ///
    /// # Panics
    /// If the lengths are not those of the geometry.
    pub fn new(
        isa: Isa,
        geometry: Geometry,
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Self {
        assert_eq!(weight.len(), geometry.weight_shape().iter().product());
        assert_eq!(bias.len(), geometry.outputs);
        assert!(geometry.stride > 0 && geometry.dilation > 0 && geometry.kernel > 0);
        let arena = Arena::default();
        let method = if geometry.is_depthwise() {
            Method::Depthwise(Depthwise::new(&geometry, weight, bias))
        } else if Winograd::suits(&geometry) {
            Method::Winograd(Winograd::new(isa, &arena, &geometry, weight, bias))
        } else if geometry.groups == 1 {
            Method::Direct(Direct::new(isa, &arena, &geometry, weight, bias))
        } else {
            let weight = dense(&geometry, weight);
            Method::Direct(Direct::new(isa, &arena, &geometry, &weight, bias))
        };
        Self {
            geometry,
            activation,
            method,
        }
    }

    /// One that is used a few times only: whether many multiplications are worth saving is the caller's to know.
    /// Keeps its weights in the context's memory; not depthwise, and without groups.
    #[cfg(feature = "training")]
    pub(crate) fn for_now(
        context: &Context,
        geometry: Geometry,
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
        saving: bool,
    ) -> Self {
        let Context { isa, arena, .. } = context;
        let method = if saving && Winograd::suits(&geometry) {
            Method::Winograd(Winograd::new(*isa, arena, &geometry, weight, bias))
        } else {
            Method::Direct(Direct::new(*isa, arena, &geometry, weight, bias))
        };
        Self {
            geometry,
            activation,
            method,
        }
    }

    /// [`forward`](Self::forward) of a dense one from slice to slice; `residual` and `y` are in the layout of a map.
    pub(crate) fn run(
        &self,
        context: &Context,
        x: Source<'_>,
        residual: Option<&[f32]>,
        y: &mut [f32],
    ) {
        match &self.method {
            Method::Direct(direct) => direct.forward(self, context.isa, x, residual, y),
            Method::Winograd(winograd) => winograd.forward(self, context, x, residual, y),
            Method::Depthwise(_) => unreachable!("not dense: {self:?}"),
        }
    }

    /// Whether multiplications of it can be saved.
    #[cfg(feature = "training")]
    pub(crate) fn can_save(geometry: &Geometry) -> bool {
        Winograd::suits(geometry)
    }

    /// How it moves over its input.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// `activation(conv(x) + bias + residual)`: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`, the
    /// shape of `residual`, too.
    ///
    /// # Panics
    /// If a shape is another.
    pub fn forward(&self, x: &Map, residual: Option<&Map>) -> Map {
        assert_eq!(x.shape()[1], self.geometry.inputs, "channels of the input");
        let shape = self.geometry.output_shape(x.shape());
        let _timed = self.timed(x.context(), shape);
        let mut y = Map::any(x.context(), shape);
        if let Some(residual) = residual {
            assert_eq!(residual.shape(), y.shape(), "shape of the residual");
        }
        match &self.method {
            Method::Direct(_) | Method::Winograd(_) => {
                let residual = residual.map(|residual| &residual.values[..]);
                self.run(x.context(), Source::map(x), residual, &mut y.values);
            }
            Method::Depthwise(depthwise) => {
                if let Some(residual) = residual {
                    depthwise.forward(self, Activation::Identity, x, false, &mut y);
                    y.add(residual, self.activation);
                    return y;
                }
                depthwise.forward(self, self.activation, x, false, &mut y);
            }
        }
        self.finish(y)
    }

    /// What [`forward`](Self::forward) makes of the output of `before`. Of a depthwise convolution behind a pointwise
    /// one that widens a map, the wide map is never made whole.
    ///
    /// # Panics
    /// If a shape is another.
    pub fn forward_after(&self, before: &Self, x: &Map) -> Map {
        let wide = before.geometry.output_shape(x.shape());
        let (Method::Direct(direct), Method::Depthwise(depthwise)) = (&before.method, &self.method)
        else {
            return self.forward(&before.forward(x, None), None);
        };
        let sigmoid = [before.activation, self.activation].contains(&Activation::Sigmoid);
        if !before.geometry.is_pointwise() || sigmoid || !widened::pays(wide) {
            return self.forward(&before.forward(x, None), None);
        }
        assert_eq!(
            x.shape()[1],
            before.geometry.inputs,
            "channels of the input"
        );
        assert_eq!(
            before.geometry.outputs, self.geometry.inputs,
            "channels between"
        );
        let shape = self.geometry.output_shape(wide);
        let multiplications =
            before.geometry.multiplications(wide) + self.geometry.multiplications(shape);
        let name = || format!("{before}, {self}");
        let _timed = x.context().timed(name, shape, multiplications);
        let mut y = Map::any(x.context(), shape);
        widened::forward((before, direct), (self, depthwise), x, &mut y);
        y
    }

    /// The first convolution of a network, of pictures: `[batch, 3, h, w]` to `[batch, outputs, h', w']`.
    ///
    /// # Panics
    /// If it does not take three channels.
    pub fn forward_picture(&self, context: &Arc<Context>, picture: &Picture) -> Map {
        assert_eq!(
            self.geometry.inputs,
            Picture::CHANNELS,
            "channels of the input"
        );
        let shape = picture.shape();
        match &self.method {
            Method::Direct(_) => {
                let shape = self.geometry.output_shape(shape);
                let _timed = self.timed(context, shape);
                let mut y = Map::any(context, shape);
                self.run(context, Source::picture(picture), None, &mut y.values);
                self.finish(y)
            }
            _ => self.forward(&picture.to_map(context), None),
        }
    }

    /// As [`forward`](Self::forward) on `x` with its sides doubled, every pixel repeated. For depthwise
    /// convolutions of stride 1; the doubled map is never made.
    ///
    /// # Panics
    /// If it is not such a convolution, or `x` has another shape.
    pub fn forward_doubled(&self, x: &Map) -> Map {
        let [batch, channels, height, width] = x.shape();
        assert_eq!(channels, self.geometry.inputs, "channels of the input");
        let Method::Depthwise(depthwise) = &self.method else {
            unreachable!("not depthwise: {:?}", self.geometry);
        };
        let doubled = [batch, channels, 2 * height, 2 * width];
        let shape = self.geometry.output_shape(doubled);
        let _timed = self.timed(x.context(), shape);
        let mut y = Map::any(x.context(), shape);
        depthwise.forward(self, self.activation, x, true, &mut y);
        self.finish(y)
    }

    fn timed<'a>(&self, context: &'a Context, output: [usize; 4]) -> Option<Timed<'a>> {
        let multiplications = self.geometry.multiplications(output);
        context.timed(|| self.to_string(), output, multiplications)
    }

    /// What vectors do not do.
    fn finish(&self, mut y: Map) -> Map {
        if self.activation == Activation::Sigmoid {
            y.values
                .iter_mut()
                .for_each(|x| *x = self.activation.of(*x));
        }
        y
    }
}

/// In a few words: `winograd 3x3 64->64`.
impl fmt::Display for Conv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Direct(_) => "direct",
            Method::Winograd(_) => "winograd",
            Method::Depthwise(_) => "depthwise",
        };
        write!(f, "{method} {}", self.geometry)
    }
}

impl fmt::Debug for Conv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conv")
            .field("geometry", &self.geometry)
            .field("activation", &self.activation)
            .finish_non_exhaustive()
    }
}

/// The weight of a convolution without groups that does the same.
fn dense(geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
    let Geometry {
        inputs,
        outputs,
        groups,
        ..
    } = *geometry;
    let taps = geometry.kernel * geometry.kernel;
    let (inputs_of_group, outputs_of_group) = (inputs / groups, outputs / groups);
    let mut dense = vec![0.0; outputs * inputs * taps];
    let per_output = inputs_of_group * taps;
    for (output, kernel) in weight.chunks_exact(per_output).enumerate() {
        let first = output / outputs_of_group * inputs_of_group;
        dense[(output * inputs + first) * taps..][..per_output].copy_from_slice(kernel);
    }
    dense
}
