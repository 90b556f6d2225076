//! `segmenter lambda`: the HTTP API as a function of AWS Lambda.

use std::{env, sync::Arc, time::Instant};

use super::{
    BadConfiguration,
    start::{self, Starting},
};
use crate::{config::Serve, http, lambda};

pub(super) const ABOUT: &str = "\
Runs inside AWS Lambda, behind API Gateway, a function URL or an Application Load Balancer. The flags are those of \
`serve`; what is said there of addresses, connections and stopping has no effect. Lambda sets variables, and not flags: \
SEGMENTER_THRESHOLD=0.6, for one.";

/// What Lambda sets for whatever runs in it.
const VARIABLES: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Answers events until Lambda ends the process.
pub(super) fn run(mut serve: Serve) -> anyhow::Result<()> {
    let started = Instant::now();
    if let Some(missing) = VARIABLES.iter().find(|name| env::var_os(name).is_none()) {
        return Err(BadConfiguration(format!(
            "this is not AWS Lambda, which sets {missing}; `segmenter serve` answers everywhere else"
        ))
        .into());
    }
    serve.model.fall_back();
    start::runtime(&serve.model)?.block_on(async {
        let segmenter = Arc::new(start::service(&serve)?);
        let bucket = start::bucket(&serve)?;
        let starting = Starting::begin(&segmenter, &serve);
        let router = http::router(&segmenter, &serve, bucket);
        // Lambda counts what is done before the first event is asked for as the start.
        starting.finish(&segmenter).await?;
        tracing::info!("ready in {} ms", started.elapsed().as_millis());
        let served = lambda::serve(router).await;
        served.map_err(|error| anyhow::anyhow!("AWS Lambda gives no events: {error}"))
    })
}
