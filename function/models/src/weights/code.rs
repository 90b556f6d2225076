//! What stands only in the code of a TorchScript archive: what the outputs of quantised additions and linear
//! layers stand for.
//!
//! The code is text that `torch.jit.save` has generated, one file a mangled module name and one class a
//! module of the network. None of it is executed. It is looked through for the one call that is known to
//! stand in such a class, and of that for its last two arguments, which are literals.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{Read, Seek},
};

use segmenter_kernels::quantized::Quantization;

use super::{WeightError, archive::Archive, quantization, views::malformed};

/// The archive's code, each file read when it is first asked for.
pub(super) struct Code<'a, R> {
    archive: &'a mut Archive<R>,
    /// By module, `__torch__.a.b`.
    files: HashMap<String, String>,
}

/// The class of a module in the archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class<'a> {
    /// `__torch__.a.b`, whose code is `code/__torch__/a/b.py`.
    pub(super) module: &'a str,
    pub(super) name: &'a str,
}

impl Class<'_> {
    /// The operation that a class of this name calls, if the name is of a quantised layer.
    pub(super) fn operation(&self) -> Option<&'static str> {
        match self.name {
            "TorchAdd" => Some("add"),
            "Linear" => Some("linear"),
            "Conv2d" => Some("conv2d"),
            "ConvReLU2d" => Some("conv2d_relu"),
            _ => None,
        }
    }
}

impl<'a, R: Read + Seek> Code<'a, R> {
    pub(super) fn new(archive: &'a mut Archive<R>) -> Self {
        Self {
            archive,
            files: HashMap::new(),
        }
    }

    /// What the output of `ops.quantized.{operation}` stands for, which the class calls once.
    pub(super) fn output(
        &mut self,
        class: Class<'_>,
        operation: &str,
    ) -> Result<Quantization, WeightError> {
        let file = match self.files.entry(class.module.to_owned()) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(file) => {
                let path = format!("code/{}.py", class.module.replace('.', "/"));
                let text = String::from_utf8(self.archive.read(&path)?);
                file.insert(text.map_err(|_| malformed(format!("{path} is not UTF-8")))?)
            }
        };
        output(file, class.name, operation).map_err(|what| {
            let Class { module, name } = class;
            malformed(format!("code of {module}.{name}: {what}"))
        })
    }
}

/// [`Code::output`] of the file's text; an error says what is wrong with it.
fn output(file: &str, class: &str, operation: &str) -> Result<Quantization, String> {
    let heading = format!("{class}(Module):\n");
    let classes = file.strip_prefix("class ").unwrap_or_default();
    let named = classes.split("\nclass ");
    let body = only(named.filter_map(|text| text.strip_prefix(&heading)))
        .ok_or("not one class of this name")?;
    let call = format!("ops.quantized.{operation}(");
    let calls = body.match_indices(&call);
    let (start, _) = only(calls).ok_or_else(|| format!("not one call of {call}..)"))?;
    let rest = &body[start + call.len()..];
    let line = rest.lines().next().unwrap_or_default();
    let arguments = line
        .strip_suffix(')')
        .ok_or_else(|| format!("the call of {call}..) does not end its line"))?;
    let mut last_first = arguments.rsplit(", ");
    let zero_point = last_first.next().and_then(|text| text.parse::<i64>().ok());
    let scale = last_first.next().and_then(|text| text.parse::<f64>().ok());
    scale
        .zip(zero_point)
        .and_then(|(scale, zero_point)| quantization(scale, zero_point))
        .ok_or_else(|| {
            format!("{call}{arguments}) does not end with a scale and a zero point of bytes")
        })
}

/// The item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let item = items.next()?;
    items.next().is_none().then_some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "\
class Linear(Module):
  training : bool
  def forward(self: __torch__.Linear,
    x: Tensor) -> Tensor:
    Xq = ops.quantized.linear(x, self._packed_params._packed_params, 0.125, 43)
    return Xq
class LinearPackedParams(Module):
  def set(self) -> None:
    _0 = ops.quantized.linear_prepack(weight, bias)
    return None
";

    #[test]
    fn the_last_two_arguments_say_what_the_output_stands_for() {
        let expected = Quantization {
            scale: 0.125,
            zero_point: 43,
        };
        assert_eq!(output(CODE, "Linear", "linear"), Ok(expected));
    }

    #[test]
    fn code_of_another_kind_is_refused() {
        let twice = format!("{CODE}{CODE}");
        for (code, class, operation) in [
            ("", "Linear", "linear"),
            (CODE, "Conv2d", "conv2d"),
            (CODE, "Linear", "add"),
            (CODE, "LinearPackedParams", "linear"),
            (&twice, "Linear", "linear"),
        ] {
            assert!(output(code, class, operation).is_err(), "{code} {class}");
        }
        for (there, instead) in [
            ("0.125", "0."),
            ("0.125", "-0.125"),
            ("0.125", "1e-60"),
            ("0.125", "inf"),
            ("0.125", "NaN"),
            ("0.125", "scale"),
            ("43)", "256)"),
            ("43)", "-1)"),
            ("43)", "4.5)"),
            ("43)", "43"),
            ("43)", "43), 1"),
            ("0.125, 43", "0.125"),
        ] {
            let code = CODE.replace(there, instead);
            assert!(output(&code, "Linear", "linear").is_err(), "{instead}");
        }
    }
}
