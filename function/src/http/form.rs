//! The fields of a form.

use axum::{
    RequestExt,
    body::Body,
    extract::{Multipart, Request, multipart::MultipartError},
    http::{header, request::Parts},
};
use bytes::Bytes;

use crate::error::Error;

/// A field, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content: Bytes,
}

impl Field {
    /// What is not a file.
    pub(crate) fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.content)
            .map_err(|_| Error::BadInput(format!("the field {} is no text", self.name)))
    }
}

/// More fields than any request has use for.
const MOST_FIELDS: usize = 32;

/// Whether the body is a form that may have files in it.
pub(crate) fn is_multipart(parts: &Parts) -> bool {
    has_type(parts, "multipart/form-data")
}

/// Takes a form apart, with files or without. Another body is an empty form.
pub(crate) async fn read(parts: Parts, body: Bytes) -> Result<Vec<Field>, Error> {
    let fields = if is_multipart(&parts) {
        multipart(parts, body).await?
    } else if has_type(&parts, "application/x-www-form-urlencoded") {
        let fields = url::form_urlencoded::parse(&body).take(MOST_FIELDS + 1);
        let fields = fields.map(|(name, value)| Field {
            name: name.into_owned(),
            file_name: None,
            content: value.into_owned().into(),
        });
        fields.collect()
    } else {
        Vec::new()
    };
    if fields.len() > MOST_FIELDS {
        return Err(Error::BadInput(format!(
            "the form has more than {MOST_FIELDS} fields"
        )));
    }
    Ok(fields)
}

async fn multipart(parts: Parts, body: Bytes) -> Result<Vec<Field>, Error> {
    let broken = |error: MultipartError| {
        Error::BadInput(format!("the form cannot be read: {}", error.body_text()))
    };
    let mut form = Request::from_parts(parts, Body::from(body))
        .extract::<Multipart, _>()
        .await
        .map_err(|error| Error::BadInput(error.body_text()))?;
    let mut fields = Vec::new();
    while fields.len() <= MOST_FIELDS
        && let Some(field) = form.next_field().await.map_err(broken)?
    {
        fields.push(Field {
            name: field.name().unwrap_or_default().to_owned(),
            file_name: field.file_name().map(str::to_owned),
            content: field.bytes().await.map_err(broken)?,
        });
    }
    Ok(fields)
}

fn has_type(parts: &Parts, expected: &str) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with(expected))
}
