//! The picture in a request, in whichever form it came.
//!
//! The form is told by the body itself, because clients often leave the content type out or to their
//! tool's default: an object in braces is JSON, a multipart form says so in its header, and all else is
//! an encoded picture.

use std::fmt;

use axum::{extract::Request, http::request::Parts};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use bytesize::ByteSize;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    body,
    form::{self, Field},
};
use crate::{
    error::Error,
    service::{Arrival, MOST_CLASSES, Segmenter, Source, Ticket},
};

/// What a request sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The picture.
    pub(crate) source: Source,
    /// What its sender calls it, where that comes in a form.
    pub(crate) file_name: Option<String>,
    /// Whether that is a multipart form.
    pub(crate) in_form: bool,
    /// Everything beside it, by name.
    pub(crate) fields: Vec<(String, Value)>,
}

/// A picture as JSON: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(expecting = "an object with url or image")]
pub(super) struct PictureJson {
    /// Where to fetch it, http or https.
    #[schema(example = "http://images.cocodataset.org/val2017/000000001268.jpg")]
    url: Option<String>,
    /// The encoded picture in base64, bare or as a data URI.
    image: Option<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    fields: Map<String, Value>,
}

/// A picture as a form: exactly one of the three.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form, which is read field by field")]
pub(super) struct PictureForm {
    /// The encoded picture.
    #[schema(value_type = Option<String>, format = Binary)]
    image: Option<Vec<u8>>,
    /// The same.
    #[schema(value_type = Option<String>, format = Binary)]
    file: Option<Vec<u8>>,
    /// Where to fetch it, http or https.
    url: Option<String>,
}

/// The fields of a form that hold an encoded picture, as [`PictureForm`] says.
pub(super) const PICTURE_FIELDS: &[&str] = &["image", "file"];
/// Bodies up to this size are taken apart where they are; it takes less than the way to another thread.
const SMALL: usize = 16 << 10;

/// Reads the picture of a request, which has a place from then on; in a form, one of `picture_fields` has it, or `url`.
pub(crate) async fn read(
    app: &Segmenter,
    arrival: Arrival,
    request: Request,
    picture_fields: &[&str],
) -> Result<(Ticket, Sent), Error> {
    let (ticket, parts, body) = read_body(app, arrival, request).await?;
    let mut sent = if form::is_multipart(&parts) {
        from_form(form::read(parts, body).await?, picture_fields)?
    } else if !looks_like_json(&body) {
        Sent {
            source: Source::Bytes(body),
            file_name: None,
            in_form: false,
            fields: Vec::new(),
        }
    } else if body.len() <= SMALL {
        from_json(&body)?
    } else {
        app.cpu(move || from_json(&body)).await??
    };
    sent.source = within_limit(app, sent.source)?;
    if matches!(&sent.source, Source::Bytes(bytes) if bytes.is_empty()) {
        return Err(Error::BadInput(format!(
            "the picture is empty: send an encoded picture, JSON with url or image, or a form with \
             the field {}",
            picture_fields.join(" or ")
        )));
    }
    Ok((ticket, sent))
}

/// Reads a body that is no larger than one with a picture can be, in whichever form. Its request has a place from then on.
pub(crate) async fn read_body(
    app: &Segmenter,
    arrival: Arrival,
    request: Request,
) -> Result<(Ticket, Parts, Bytes), Error> {
    let limits = app.limits().picture;
    let (parts, body) = request.into_parts();
    let too_large = || too_large(limits.max_body);
    let body = body::read(
        &parts.headers,
        body,
        limits.largest_body(),
        &arrival,
        too_large,
    );
    let body = body.await.map_err(|error| app.refused(error))?;
    Ok((app.enter(arrival)?, parts, body))
}

/// The same picture, unless it has more bytes than it may.
pub(crate) fn within_limit(app: &Segmenter, source: Source) -> Result<Source, Error> {
    let limit = app.limits().picture.max_body;
    match source {
        Source::Bytes(bytes) if bytes.len() > limit => Err(too_large(limit)),
        Source::Image(image) if image.pixels().len() > limit => Err(too_large(limit)),
        source => Ok(source),
    }
}

fn too_large(limit: usize) -> Error {
    Error::TooLarge(format!(
        "the picture is larger than {} (--max-body)",
        ByteSize::b(limit as u64)
    ))
}

/// No picture format begins with a brace.
fn looks_like_json(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
}

fn from_json(body: &[u8]) -> Result<Sent, Error> {
    let json = serde_json::from_slice(body);
    let json = json.and_then(|Shallow(json)| PictureJson::deserialize(json));
    let json =
        json.map_err(|error| Error::BadInput(format!("the JSON cannot be read: {error}")))?;
    let source = match (json.url, json.image) {
        (Some(url), None) => Source::Url(url),
        (None, Some(image)) => Source::Bytes(from_base64(&image)?),
        (Some(_), Some(_)) => return Err(one_picture("both url and image")),
        (None, None) => return Err(one_picture("neither url nor image")),
    };
    Ok(Sent {
        source,
        file_name: None,
        in_form: false,
        fields: json.fields.into_iter().collect(),
    })
}

/// JSON of which only so much is kept as may be of use: an object's texts and numbers, and short lists of them. Of longer
/// lists the beginning is there, and lists and objects that lie deeper are empty. All of it would take a hundred times the
/// memory of its text.
pub(crate) struct Shallow(pub(crate) Value);

/// More fields than any JSON has use for, as in forms.
const MOST_FIELDS: usize = 32;
/// Of a list: one more than any that is of use, so that the longer ones are told from it.
const MOST_ELEMENTS: usize = MOST_CLASSES + 1;

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level::Top.deserialize(deserializer).map(Self)
    }
}

/// Where in the JSON a value is.
#[derive(Clone, Copy)]
enum Level {
    Top,
    Field,
    Element,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        if let Self::Top | Self::Field = self {
            while kept.len() < MOST_ELEMENTS
                && let Some(element) = list.next_element_seed(Self::Element)?
            {
                kept.push(element);
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        if let Self::Top = self {
            let mut fields = 0;
            while let Some(name) = object.next_key()? {
                if fields == MOST_FIELDS {
                    return Err(A::Error::custom(format!("more than {MOST_FIELDS} fields")));
                }
                fields += 1;
                kept.insert(name, object.next_value_seed(Self::Field)?);
            }
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(kept.into())
    }
}

fn one_picture(found: &str) -> Error {
    Error::BadInput(format!("the request has {found}, expected one picture"))
}

/// Decodes base64, bare or in a data URI, with or without padding and line breaks.
pub(crate) fn from_base64(text: &str) -> Result<Bytes, Error> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let encoded = match text.split_once("base64,") {
        Some((head, encoded)) if head.starts_with("data:") => encoded,
        _ => text,
    };
    let decoded = if encoded.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let encoded: Vec<_> = encoded
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        LENIENT.decode(encoded)
    } else {
        LENIENT.decode(encoded)
    };
    decoded
        .map(Bytes::from)
        .map_err(|error| Error::BadInput(format!("image is not base64: {error}")))
}

fn from_form(fields: Vec<Field>, picture_fields: &[&str]) -> Result<Sent, Error> {
    let mut source = None;
    let mut file_name = None;
    let mut others = Vec::new();
    for field in fields {
        let found = match &*field.name {
            picture if picture_fields.contains(&picture) => {
                file_name = field.file_name;
                Source::Bytes(field.content)
            }
            "url" => Source::Url(field.text()?.to_owned()),
            _ => {
                let text = Value::String(field.text()?.to_owned());
                others.push((field.name, text));
                continue;
            }
        };
        if source.replace(found).is_some() {
            return Err(one_picture("several pictures"));
        }
    }
    let source = source.ok_or_else(|| {
        let fields = picture_fields.join(", ");
        one_picture(&format!("a form without the field {fields} or url"))
    })?;
    Ok(Sent {
        source,
        file_name,
        in_form: true,
        fields: others,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_in_json_is_a_url_or_base64() {
        let source = |json: &str| from_json(json.as_bytes()).map(|sent| sent.source);
        let url = Source::Url("http://a/b.jpg".to_owned());
        assert_eq!(source(r#"{"url":"http://a/b.jpg"}"#).unwrap(), url);
        for image in ["aGk=", "aGk", "data:image/png;base64,aGk=", "aG\\nk="] {
            let source = source(&format!(r#"{{"image":"{image}"}}"#)).unwrap();
            assert_eq!(source, Source::Bytes(Bytes::from_static(b"hi")), "{image}");
        }
    }

    #[test]
    fn other_json_is_refused_with_what_was_expected() {
        for (json, part) in [
            ("{}", "neither url nor image"),
            (r#"{"url":"http://a","image":"aGk="}"#, "both url and image"),
            (r#"{"url":5}"#, "expected a string"),
            (r#"{"image":"?"}"#, "not base64"),
            (r#"{"url":"#, "EOF"),
        ] {
            let error = from_json(json.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::BadInput(_)));
            assert!(error.to_string().contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn of_json_only_what_may_be_of_use_is_kept() {
        let read = |json: &str| serde_json::from_str(json).map(|Shallow(json)| json);
        let short = r#"{"a":null,"b":true,"c":-1,"d":1,"e":0.5,"f":"text","g":["h",2]}"#;
        assert_eq!(read(short).unwrap().to_string(), short);
        let deep = r#"{"a":{"b":[{"c":1}]},"d":[{"e":{}},["f"]],"image":"aGk="}"#;
        let kept = r#"{"a":{},"d":[{},[]],"image":"aGk="}"#;
        assert_eq!(read(deep).unwrap().to_string(), kept);
        let long = format!(r#"{{"x":[{}0]}}"#, r#"{"":0},"#.repeat(100_000));
        assert_eq!(read(&long).unwrap()["x"].as_array().unwrap().len(), 129);
        let fields = |most| {
            let fields: Vec<_> = (0..most).map(|name| format!(r#""{name}":0"#)).collect();
            read(&format!("{{{}}}", fields.join(",")))
        };
        assert!(fields(32).is_ok());
        let error = fields(33).unwrap_err().to_string();
        assert!(error.contains("more than 32 fields"), "{error}");
        assert!(read(r#"{"a":[1,]}"#).is_err());
    }
}
