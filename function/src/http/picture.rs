//! The picture in a request, in whichever form it came.
//!
//! The form is told by the body itself, because clients often leave the content type out or to their
//! tool's default: an object in braces is JSON, a multipart form says so in its header, and all else is
//! an encoded picture.

use axum::{extract::Request, http::request::Parts};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use bytesize::ByteSize;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    body,
    form::{self, Field},
};
use crate::{
    error::Error,
    service::{Segmenter, Source, Ticket},
};

/// What a request sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The picture.
    pub(crate) source: Source,
    /// What its sender calls it, where that comes in a form.
    pub(crate) file_name: Option<String>,
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
/// What a multipart form or JSON adds to a picture, in bytes: boundaries, headers, other fields.
const ENVELOPE: usize = 64 << 10;
/// Bodies up to this size are taken apart where they are; it takes less than the way to another thread.
const SMALL: usize = 16 << 10;

/// Reads the picture of a request; in a form, one of `picture_fields` has it, or `url`.
pub(crate) async fn read(
    app: &Segmenter,
    ticket: &Ticket,
    request: Request,
    picture_fields: &[&str],
) -> Result<Sent, Error> {
    let (parts, body) = read_body(app, ticket, request).await?;
    let mut sent = if form::is_multipart(&parts) {
        from_form(form::read(parts, body).await?, picture_fields)?
    } else if !looks_like_json(&body) {
        Sent {
            source: Source::Bytes(body),
            file_name: None,
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
    Ok(sent)
}

/// Reads a body that is no larger than one with a picture can be, in whichever form.
pub(crate) async fn read_body(
    app: &Segmenter,
    ticket: &Ticket,
    request: Request,
) -> Result<(Parts, Bytes), Error> {
    let limit = app.limits().picture.max_body;
    let (parts, body) = request.into_parts();
    // Base64 takes four bytes for three.
    let most = limit.div_ceil(3) * 4 + ENVELOPE;
    let too_large = move || too_large(limit);
    let body = body::read(&parts.headers, body, most, ticket.deadline, too_large).await?;
    Ok((parts, body))
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
    let json: PictureJson = serde_json::from_slice(body)
        .map_err(|error| Error::BadInput(format!("the JSON cannot be read: {error}")))?;
    let source = match (json.url, json.image) {
        (Some(url), None) => Source::Url(url),
        (None, Some(image)) => Source::Bytes(from_base64(&image)?),
        (Some(_), Some(_)) => return Err(one_picture("both url and image")),
        (None, None) => return Err(one_picture("neither url nor image")),
    };
    Ok(Sent {
        source,
        file_name: None,
        fields: json.fields.into_iter().collect(),
    })
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
}
