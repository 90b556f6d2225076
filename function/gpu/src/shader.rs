//! Shaders: a text for each kernel, and what is put before it.

use std::fmt::Write;

use segmenter_kernels::Activation;

/// What a kernel is compiled from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shader {
    /// Of the kernel.
    pub(crate) name: &'static str,
    /// Buffers that it reads; there is one more that it writes.
    pub(crate) inputs: usize,
    /// Words of its immediate data.
    pub(crate) immediates: usize,
    /// What it is made for, known when it is compiled.
    pub(crate) constants: Vec<(&'static str, usize)>,
    /// What follows it.
    pub(crate) activation: Activation,
    /// Its own text.
    pub(crate) text: &'static str,
}

impl Shader {
    /// That reads so many buffers and has so many words of immediate data.
    pub(crate) fn new(
        name: &'static str,
        text: &'static str,
        inputs: usize,
        immediates: usize,
    ) -> Self {
        Self {
            name,
            inputs,
            immediates,
            constants: Vec::new(),
            activation: Activation::Identity,
            text,
        }
    }

    /// With this constant.
    pub(crate) fn constant(mut self, name: &'static str, value: usize) -> Self {
        self.constants.push((name, value));
        self
    }

    /// With this behind it.
    pub(crate) fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// The whole text.
    pub(crate) fn source(&self) -> String {
        let mut source = String::from(PRELUDE);
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
        let _ = writeln!(
            source,
            "fn activate(x: vec4<f32>) -> vec4<f32> {{ return {activation}; }}"
        );
        source.push_str(&expanded(self.text, &self.constants));
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
    use super::expanded;

    #[test]
    fn lines_are_repeated_for_every_value() {
        let text = "a\nlet x{I}_{J} = {I};  //* I J\nb";
        let lines = expanded(text, &[("I", 2), ("J", 1)]);
        assert_eq!(lines, "a\nlet x0_0 = 0;\nlet x1_0 = 1;\nb\n");
    }
}
