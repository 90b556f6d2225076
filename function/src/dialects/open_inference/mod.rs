//! The Open Inference Protocol, version 2, as clients of KServe and Triton speak it: over HTTP with Triton's binary
//! tensor data, and over gRPC.
//!
//! A model takes one tensor, `image`, which is an encoded picture or its samples, and answers those of its
//! outputs that are asked for; nothing is computed for others.

pub(crate) mod grpc;
mod outputs;
mod rest;
mod tensor;

use segmenter_models::catalogue::Entry;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;

use self::{
    outputs::{Output, Tensor},
    tensor::{Datatype, Given, IMAGE},
};
use crate::{
    error::Error,
    http::picture,
    service::{Handling, Segmenter, Served, Source, Ticket, Wish},
};

pub use rest::router;

/// The only version of every model.
const VERSION: &str = "1";

/// Which server this is.
#[derive(Serialize, ToSchema)]
struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    /// What it has beside the protocol.
    extensions: &'static [&'static str],
}

const SERVER: ServerMetadata = ServerMetadata {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    extensions: &["binary_tensor_data"],
};

/// What a model takes and answers.
#[derive(Serialize, ToSchema)]
struct ModelMetadata {
    name: &'static str,
    versions: [&'static str; 1],
    /// What it runs on.
    platform: &'static str,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

/// A tensor that a model takes or answers.
#[derive(Serialize, ToSchema)]
struct TensorMetadata {
    name: &'static str,
    /// `UINT8`, `INT32`, `FP32` or `BYTES`.
    datatype: &'static str,
    /// -1 where it differs from picture to picture.
    shape: &'static [i64],
}

impl ModelMetadata {
    fn new(entry: &'static Entry) -> Self {
        let outputs = Output::all(entry.task).iter().map(|output| TensorMetadata {
            name: output.name(),
            datatype: output.datatype().name(),
            shape: output.shape(),
        });
        Self {
            name: entry.name,
            versions: [VERSION],
            platform: SERVER.name,
            inputs: vec![TensorMetadata {
                name: IMAGE,
                datatype: Datatype::Bytes.name(),
                shape: &[1],
            }],
            outputs: outputs.collect(),
        }
    }
}

/// The model of this name, in the version that there is.
fn served<'a>(app: &'a Segmenter, model: &str, version: Option<&str>) -> Result<&'a Served, Error> {
    let served = app.model(model)?;
    match version {
        None | Some(VERSION) => Ok(served),
        Some(other) => Err(Error::NotFound(format!(
            "{model} has no version {other:?}, only {VERSION}"
        ))),
    }
}

/// What is asked of a model.
struct Asked {
    source: Source,
    wish: Wish,
    outputs: Vec<Output>,
}

impl Asked {
    /// Of a request's tensor and parameters, and the names of the outputs that it asks for, if any.
    fn new<'a>(
        entry: &'static Entry,
        image: Given,
        parameters: &InferParameters,
        outputs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let outputs = Output::named(entry.task, outputs)?;
        let wish = Wish {
            model: Some(entry.name.to_owned()),
            masks: outputs.iter().any(|output| output.is_of_masks()),
            ..parameters.wish()?
        };
        Ok(Self {
            source: image.picture()?,
            wish,
            outputs,
        })
    }
}

/// What a request says beside its tensors.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object of parameters")]
#[expect(dead_code, reason = "some parameters are known and mean nothing here")]
struct InferParameters {
    /// Leave out detections with a lower score, 0 to 1. Default: the model's own.
    threshold: Option<f64>,
    /// At most this many detections, the best first.
    max_detections: Option<i64>,
    /// Only these classes, by name, separated by commas. Default: all.
    classes: Option<String>,
    /// Whether outputs that do not say otherwise are bytes after the reply's JSON.
    binary_data_output: Option<bool>,
    // Of the protocol's extensions for other kinds of models, which some clients send to all.
    #[schema(ignore)]
    sequence_id: Option<IgnoredAny>,
    #[schema(ignore)]
    sequence_start: Option<IgnoredAny>,
    #[schema(ignore)]
    sequence_end: Option<IgnoredAny>,
    #[schema(ignore)]
    priority: Option<IgnoredAny>,
    #[schema(ignore)]
    timeout: Option<IgnoredAny>,
}

impl InferParameters {
    fn wish(&self) -> Result<Wish, Error> {
        let max_detections = self.max_detections.map(|most| {
            usize::try_from(most).map_err(|_| {
                Error::BadInput(format!("max_detections is {most}, expected at least 1"))
            })
        });
        let classes = self.classes.as_deref().unwrap_or_default().split(',');
        let classes = classes.map(str::trim).filter(|class| !class.is_empty());
        Ok(Wish {
            threshold: self.threshold.map(|score| score as f32),
            max_detections: max_detections.transpose()?,
            classes: classes.map(str::to_owned).collect(),
            ..Wish::default()
        })
    }
}

/// The one that there is of a request's tensors.
fn only_input<T>(tensors: Vec<T>) -> Result<T, Error> {
    let found = tensors.len();
    let [tensor] = <[T; 1]>::try_from(tensors)
        .map_err(|_| Error::BadInput(format!("there are {found} inputs, expected one, {IMAGE}")))?;
    Ok(tensor)
}

/// Looks at a picture; `write` makes a reply of the tensors.
async fn infer<T: Send + 'static>(
    app: &Segmenter,
    ticket: &Ticket,
    Asked {
        source,
        wish,
        outputs,
    }: Asked,
    write: impl FnOnce(Vec<Tensor>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let source = picture::within_limit(app, source)?;
    let query = app.query(&wish)?;
    let answer = app
        .predict(ticket, source, query, Handling::default())
        .await?;
    let encoded = app.encode(ticket, answer, move |answer| {
        write(outputs::tensors(answer, &outputs)?)
    });
    let (reply, _) = encoded.await?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use segmenter_models::catalogue::CATALOGUE;

    use super::{tensor::Contents, *};

    fn wish(outputs: &[&str], parameters: &str) -> Result<Wish, String> {
        let image = Given {
            name: IMAGE.to_owned(),
            datatype: "BYTES".to_owned(),
            shape: vec![1],
            contents: Contents::Element(Bytes::new()),
        };
        let parameters = serde_json::from_str(parameters).map_err(|error| error.to_string())?;
        let outputs = outputs.iter().copied();
        Asked::new(&CATALOGUE[0], image, &parameters, outputs)
            .map(|asked| asked.wish)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn masks_are_made_only_for_outputs_of_masks() {
        assert!(wish(&[], "{}").unwrap().masks);
        assert!(!wish(&["labels", "boxes"], "{}").unwrap().masks);
        assert!(wish(&["labels", "mask_pixels"], "{}").unwrap().masks);
    }

    #[test]
    fn parameters_are_those_of_a_wish_and_others_are_refused() {
        let parameters = r#"{"threshold": 1, "max_detections": 7, "classes": "cat, traffic light,", "priority": 0}"#;
        let found = wish(&[], parameters).unwrap();
        assert_eq!(found.model.as_deref(), Some(CATALOGUE[0].name));
        assert_eq!(found.threshold, Some(1.0));
        assert_eq!(found.max_detections, Some(7));
        assert_eq!(found.classes, ["cat", "traffic light"]);
        assert_eq!(wish(&[], r#"{"threshold": null}"#).unwrap().threshold, None);
        let error = wish(&[], r#"{"max_detections": -1}"#).unwrap_err();
        assert_eq!(error, "max_detections is -1, expected at least 1");
        let error = wish(&[], r#"{"treshold": 0.5}"#).unwrap_err();
        assert!(error.contains("unknown field `treshold`"), "{error}");
    }
}
