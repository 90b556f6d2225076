//! Shaders: a text for each kernel, and what is put before it.

use std::fmt::Write;

use segmenter_kernels::Activation;

/// The kernels, by their texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kernel {
    ClassMap,
    Combine,
    Conv,
    ConvMatrices,
    ConvSum,
    Depthwise,
    MaxPool,
    Mean,
    Pictures,
    Place,
    Planes,
    Resize,
    RoiAlign,
}

impl Kernel {
    /// Its own text.
    fn text(self) -> &'static str {
        match self {
            Self::ClassMap => include_str!("shaders/class_map.wgsl"),
            Self::Combine => include_str!("shaders/combine.wgsl"),
            Self::Conv => include_str!("shaders/conv.wgsl"),
            Self::ConvMatrices => include_str!("shaders/conv_matrices.wgsl"),
            Self::ConvSum => include_str!("shaders/conv_sum.wgsl"),
            Self::Depthwise => include_str!("shaders/depthwise.wgsl"),
            Self::MaxPool => include_str!("shaders/max_pool.wgsl"),
            Self::Mean => include_str!("shaders/mean.wgsl"),
            Self::Pictures => include_str!("shaders/pictures.wgsl"),
            Self::Place => include_str!("shaders/place.wgsl"),
            Self::Planes => include_str!("shaders/planes.wgsl"),
            Self::Resize => include_str!("shaders/resize.wgsl"),
            Self::RoiAlign => include_str!("shaders/roi_align.wgsl"),
        }
    }

    /// What of WGSL's extensions it uses.
    fn extensions(self) -> &'static str {
        match self {
            Self::ConvMatrices => "enable wgpu_cooperative_matrix;\n",
            _ => "",
        }
    }

    /// What stands before its own text: where its threads begin, each with one item, if it does not say that itself, or
    /// what it shares with another.
    fn beginning(self) -> &'static str {
        match self {
            Self::Conv | Self::ConvMatrices => include_str!("shaders/product.wgsl"),
            Self::Mean => "",
            _ => include_str!("shaders/each.wgsl"),
        }
    }

    /// What follows it, if several have that.
    fn end(self) -> &'static str {
        match self {
            Self::Conv | Self::ConvMatrices | Self::ConvSum => include_str!("shaders/finish.wgsl"),
            Self::ClassMap | Self::Resize | Self::RoiAlign => {
                include_str!("shaders/bilinear.wgsl")
            }
            _ => "",
        }
    }
}

/// What is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shader {
    /// Which kernel.
    pub(crate) kernel: Kernel,
    /// What it is made for, known when it is compiled.
    constants: Vec<(&'static str, usize)>,
    /// Types that its text gives names to.
    aliases: Vec<(&'static str, &'static str)>,
    /// What follows it.
    activation: Activation,
}

impl Shader {
    /// Of this kernel, with nothing behind it.
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            constants: Vec::new(),
            aliases: Vec::new(),
            activation: Activation::Identity,
        }
    }

    /// With this constant.
    pub(crate) fn constant(mut self, name: &'static str, value: usize) -> Self {
        self.constants.push((name, value));
        self
    }

    /// With this type of a name.
    pub(crate) fn alias(mut self, name: &'static str, of: &'static str) -> Self {
        self.aliases.push((name, of));
        self
    }

    /// With this behind it.
    pub(crate) fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// The whole text. `half` where the values of maps have 16 bits: they keep to what these can hold then.
    pub(crate) fn source(&self, half: bool) -> String {
        let mut source = String::from(self.kernel.extensions());
        let quad = if half {
            source.push_str("enable f16;\n");
            "vec4<f16>"
        } else {
            "vec4<f32>"
        };
        source.push_str(PRELUDE);
        for (name, of) in [("Quad", quad)].iter().chain(&self.aliases) {
            let _ = writeln!(source, "alias {name} = {of};");
        }
        for (name, value) in &self.constants {
            let _ = writeln!(source, "const {name}: u32 = {value}u;");
        }
        let activation = match self.activation {
            Activation::Identity => "x",
            Activation::Relu => "max(x, vec4<f32>())",
            Activation::Relu6 => "clamp(x, vec4<f32>(), vec4<f32>(6.0))",
            Activation::HardSwish => "x * gate(x)",
            Activation::HardSigmoid => "gate(x)",
            Activation::Sigmoid => "1.0 / (1.0 + exp(-x))",
        };
        let kept = if half {
            format!("clamp({activation}, vec4<f32>(-65504.0), vec4<f32>(65504.0))")
        } else {
            activation.to_owned()
        };
        let _ = writeln!(
            source,
            "fn activate(x: vec4<f32>) -> vec4<f32> {{ return {kept}; }}"
        );
        source.push_str(self.kernel.beginning());
        source.push_str(&expanded(self.kernel.text(), &self.constants));
        source.push_str(self.kernel.end());
        source
    }
}

/// What every kernel may use.
const PRELUDE: &str = include_str!("shaders/prelude.wgsl");

/// The text with every line that ends with `//* NAME` or `//* NAME NAME` repeated for the values of these, from 0 to
/// below the constant of each: `{NAME}` stands for the value. Compilers keep in registers what has a name for each value;
/// what has an index, only where they see through the loop.
fn expanded(text: &str, constants: &[(&'static str, usize)]) -> String {
    let mut lines = String::with_capacity(2 * text.len());
    for line in text.lines() {
        let (line, names) = line.split_once("//*").unwrap_or((line, ""));
        let mut repeated = vec![line.trim_end().to_owned()];
        for name in names.split_whitespace() {
            let count = constants.iter().find(|(constant, _)| *constant == name);
            let count = count.map_or(0, |(_, count)| *count);
            repeated = repeated
                .iter()
                .flat_map(|line| {
                    (0..count).map(move |i| line.replace(&format!("{{{name}}}"), &i.to_string()))
                })
                .collect();
        }
        for line in repeated {
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Shader, expanded};
    use crate::tiling::matrices;

    /// Most drivers here have no units for these, so that only their text can be looked at.
    #[test]
    fn products_of_matrices_are_valid() {
        use wgpu::naga::{
            front::wgsl,
            valid::{Capabilities, ValidationFlags, Validator},
        };
        // Of 1x1, of 3x3 in parts, and doubled.
        for [kernel, parts, doubled] in [[1, 0, 0], [3, 1, 0], [1, 0, 1]] {
            for (tile, (piece, wide)) in matrices().flat_map(|tile| {
                [("array<Quad, 1>", 1), ("array<Quad, 2>", 2)].map(|piece| (tile, piece))
            }) {
                let shader = Shader::new(tile.kernel())
                    .alias("Piece", piece)
                    .alias("Out", if parts == 1 { "vec4<f32>" } else { "Quad" })
                    .constant("KERNEL", kernel)
                    .constant("STRIDE", 1)
                    .constant("PADDING", kernel / 2)
                    .constant("DILATION", 1)
                    .constant("RESIDUAL", 1)
                    .constant("PARTS", parts)
                    .constant("DOUBLED", doubled);
                let source = tile.constants(shader, wide).source(true);
                let module = wgsl::parse_str(&source);
                let module =
                    module.unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
                let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
                let valid = validator.validate(&module);
                valid.unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
            }
        }
    }

    #[test]
    fn lines_are_repeated_for_every_value() {
        let text = "a\nlet x{I}_{J} = {I};  //* I J\nb";
        let lines = expanded(text, &[("I", 2), ("J", 1)]);
        assert_eq!(lines, "a\nlet x0_0 = 0;\nlet x1_0 = 1;\nb\n");
    }
}
