//! The HTTP API as a function of AWS Lambda: an event in, a reply out.
//!
//! `lambda_http` makes requests of the events of API Gateway (REST and HTTP APIs), function URLs and Application Load
//! Balancers. What such a request lacks is here: a path without the stage, the time that is left for it, and a bound on
//! its reply, which Lambda would turn into an error that says nothing.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{self, Body},
    http::{HeaderValue, Uri, header, uri::PathAndQuery},
    response::Response,
};
use bytes::Bytes;
use bytesize::ByteSize;
use lambda_http::{Request, RequestExt, request::RequestContext, service_fn};
use tower::ServiceExt as _;

use crate::{error::Error, http::PATIENCE, observe};

/// What a reply may take, with its head and as Lambda carries it (bytes that are no text in base64):
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const MOST: usize = 6 << 20;

/// What a load balancer takes of it:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>.
const MOST_OF_BALANCER: usize = 1 << 20;

/// For status and headers.
const HEAD: usize = 8 << 10;

/// To send the error of a request whose time is up, before Lambda ends it.
const RESERVE: Duration = Duration::from_millis(100);

/// Answers events with the routes until there are no more.
///
/// # Errors
/// If Lambda's runtime API cannot be reached.
pub async fn serve(router: Router) -> Result<(), lambda_http::Error> {
    let answer = service_fn(move |event| answer(router.clone(), event));
    lambda_http::run(answer).await
}

async fn answer(router: Router, mut event: Request) -> Result<Response, Infallible> {
    let (stage, most) = match event.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => (context.stage.as_deref(), MOST),
        Some(RequestContext::ApiGatewayV2(context)) => (context.stage.as_deref(), MOST),
        Some(RequestContext::Alb(_)) => (None, MOST_OF_BALANCER),
        _ => (None, MOST),
    };
    if let Some(uri) = stage.and_then(|stage| without_stage(event.uri(), stage)) {
        *event.uri_mut() = uri;
    }
    limit_time(&mut event);
    let response = router.oneshot(event).await?;
    Ok(carried(response, most - HEAD).await)
}

/// The URI of `/stage/path` as the routes have it.
fn without_stage(uri: &Uri, stage: &str) -> Option<Uri> {
    let path = uri.path().strip_prefix('/')?.strip_prefix(stage)?;
    if !(path.is_empty() || path.starts_with('/')) {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// Lets the request take no longer than the function may.
fn limit_time(event: &mut Request) {
    let Some(context) = event.lambda_context_ref() else {
        return;
    };
    let left = context.deadline().duration_since(SystemTime::now());
    let left = left.unwrap_or_default().saturating_sub(RESERVE).as_millis();
    let asked = event.headers().get(PATIENCE);
    let asked = asked.map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    // What is no number is an error, and told as one where it is read.
    if asked.is_none_or(|asked| asked.is_some_and(|asked: u128| asked > left)) {
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        event
            .headers_mut()
            .insert(PATIENCE, HeaderValue::from(left));
    }
}

/// The reply, or an error where it is larger than what is carried.
async fn carried(response: Response, most: usize) -> Response {
    let (head, body) = response.into_parts();
    let is_encoded = head.headers.contains_key(header::CONTENT_ENCODING);
    // Some are written as they are read, and never end up in memory where they are too large.
    let body = body::to_bytes(body, most).await.ok();
    if let Some(body) = body.filter(|body| size(body, is_encoded) <= most) {
        return Response::from_parts(head, Body::from(body));
    }
    let most = ByteSize::b(most as u64).display().iec();
    let error = Error::TooLarge(format!(
        "the reply takes more than the {most} that AWS Lambda carries here; less is asked for by Accept-Encoding: gzip, \
         by fewer max_detections or a higher threshold, by masks=rle or none, of drawings by Accept: image/jpeg, and of \
         class scores by fewer results"
    ));
    tracing::warn!(%error, "not answered");
    observe::instead(Response::from_parts(head, Body::empty()), &error)
}

/// In the JSON that carries it.
fn size(body: &Bytes, is_encoded: bool) -> usize {
    match str::from_utf8(body) {
        Ok(text) if !is_encoded => {
            serde_json::to_string(text).map_or(usize::MAX, |json| json.len())
        }
        _ => body.len().div_ceil(3) * 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_taken_off_the_path() {
        let without = |uri: &'static str, stage| {
            without_stage(&Uri::from_static(uri), stage).map(|uri| uri.to_string())
        };
        let host = "https://abc.execute-api.eu-central-1.amazonaws.com";
        assert_eq!(
            without(
                "https://abc.execute-api.eu-central-1.amazonaws.com/prod/predict?a=1",
                "prod"
            ),
            Some(format!("{host}/predict?a=1"))
        );
        assert_eq!(without("/prod", "prod"), Some("/".to_owned()));
        assert_eq!(without("/product", "prod"), None);
        assert_eq!(without("/predict", "prod"), None);
    }

    #[tokio::test]
    async fn a_reply_that_is_not_carried_becomes_an_error() {
        let response = |body: &'static [u8]| Response::new(Body::from(body));
        // Text in quotes takes 2 more, and each quote in it another.
        assert_eq!(carried(response(b"12\"4"), 7).await.status(), 200);
        let refused = carried(response(b"12\"4"), 6).await;
        assert_eq!(refused.status(), 413);
        let body = body::to_bytes(refused.into_body(), usize::MAX).await;
        let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
        assert!(
            body.contains("\"too_large\"") && body.contains("more than the 6 B"),
            "{body}"
        );
        // Bytes take 4 for each 3.
        assert_eq!(
            carried(response(b"\xff\xd8\xff\xe0"), 8).await.status(),
            200
        );
        assert_eq!(
            carried(response(b"\xff\xd8\xff\xe0"), 7).await.status(),
            413
        );
    }
}
