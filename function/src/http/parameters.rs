//! What a caller of `/v1/predict` may say beside the picture: in the query, in JSON or in the form.

use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::picture::PictureJson;
use crate::{encode::MaskFormat, error::Error, service::Wish};

/// The parameters, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameters {
    pub(super) wish: Wish,
    pub(super) masks: MaskFormat,
}

/// Parameters beside the picture.
#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the parameters, which are read one by one"
)]
pub(super) struct Fields {
    /// The model that is to answer, one of those that /v1/models lists. Default: the first of them.
    model: Option<String>,
    /// Leave out detections with a lower score. Default: the model's own.
    #[param(minimum = 0, maximum = 1)]
    #[schema(minimum = 0, maximum = 1)]
    threshold: Option<f32>,
    /// At most this many detections, the best first.
    #[param(minimum = 1)]
    #[schema(minimum = 1)]
    max_detections: Option<usize>,
    /// Only these classes, by name; in a query or a form separated by commas. Default: all.
    #[param(style = Form, explode = false)]
    classes: Option<Vec<String>>,
    /// How outlines are answered. Default: rle.
    #[param(inline)]
    #[schema(inline)]
    masks: Option<MaskFormat>,
}

/// A picture as JSON, with parameters.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "describes the JSON, whose two parts are read apart"
)]
pub(super) struct FullRequest {
    #[serde(flatten)]
    picture: PictureJson,
    #[serde(flatten)]
    fields: Fields,
}

impl Parameters {
    /// Reads the query and then the fields sent with the picture, which win.
    pub(super) fn read(query: &str, fields: Vec<(String, Value)>) -> Result<Self, Error> {
        let mut parameters = Self {
            wish: Wish::default(),
            masks: MaskFormat::Rle,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            parameters.set(&name, &value)?;
        }
        for (name, value) in fields {
            parameters.set_json(&name, &value)?;
        }
        parameters.wish.masks = parameters.masks != MaskFormat::None;
        Ok(parameters)
    }

    fn set_json(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        match value {
            Value::Null => Ok(()),
            Value::String(text) => self.set(name, text),
            Value::Array(values) if name == "classes" => {
                self.wish.classes.clear();
                for value in values {
                    let class = value.as_str().ok_or_else(|| bad(name, value, CLASSES))?;
                    self.wish.classes.push(class.to_owned());
                }
                Ok(())
            }
            other => self.set(name, &other.to_string()),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "model" => self.wish.model = Some(value.to_owned()),
            "threshold" => {
                let score = value
                    .parse()
                    .ok()
                    .filter(|score| (0.0..=1.0).contains(score));
                let score = score.ok_or_else(|| bad(name, &value, "a number from 0 to 1"))?;
                self.wish.threshold = Some(score);
            }
            "max_detections" => {
                let most = value.parse().ok().filter(|most| *most > 0);
                let most = most.ok_or_else(|| bad(name, &value, "a whole number, at least 1"))?;
                self.wish.max_detections = Some(most);
            }
            "classes" => {
                self.wish.classes = value
                    .split(',')
                    .map(|class| class.trim().to_owned())
                    .filter(|class| !class.is_empty())
                    .collect();
            }
            "masks" => {
                self.masks = MaskFormat::from_name(value)
                    .ok_or_else(|| bad(name, &value, "rle, polygon, png or none"))?;
            }
            _ => {
                return Err(Error::BadInput(format!(
                    "there is no parameter {name:?}, expected model, threshold, max_detections, classes \
                     or masks"
                )));
            }
        }
        Ok(())
    }
}

const CLASSES: &str = "class names, as a list or separated by commas";

fn bad(name: &str, found: &dyn std::fmt::Debug, expected: &str) -> Error {
    Error::BadInput(format!("{name} is {found:?}, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(query: &str, fields: Value) -> Result<Parameters, String> {
        let Value::Object(fields) = fields else {
            panic!("fields are an object");
        };
        Parameters::read(query, fields.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_win_over_the_query_whichever_form_they_have() {
        let query = "threshold=0.25&classes=cat,traffic%20light&masks=png";
        let fields = json!({"threshold": 0.5, "max_detections": "7", "masks": null});
        let parameters = read(query, fields).unwrap();
        assert_eq!(parameters.wish.threshold, Some(0.5));
        assert_eq!(parameters.wish.max_detections, Some(7));
        assert_eq!(parameters.wish.classes, ["cat", "traffic light"]);
        assert_eq!(parameters.masks, MaskFormat::Png);
        assert!(parameters.wish.masks);
    }

    #[test]
    fn a_bad_parameter_is_named_with_what_was_found_and_what_would_do() {
        for (query, message) in [
            (
                "threshold=2",
                r#"threshold is "2", expected a number from 0 to 1"#,
            ),
            (
                "threshold=NaN",
                r#"threshold is "NaN", expected a number from 0 to 1"#,
            ),
            (
                "max_detections=-1",
                r#"max_detections is "-1", expected a whole number, at least 1"#,
            ),
            (
                "masks=svg",
                r#"masks is "svg", expected rle, polygon, png or none"#,
            ),
        ] {
            assert_eq!(read(query, json!({})).unwrap_err(), message);
        }
        let objects = read("", json!({"threshold": {}})).unwrap_err();
        assert!(objects.starts_with(r#"threshold is "{}", expected"#));
        let misspelt = read("", json!({"treshold": 0.5})).unwrap_err();
        assert!(
            misspelt.starts_with(r#"there is no parameter "treshold", expected model, threshold"#)
        );
    }
}
