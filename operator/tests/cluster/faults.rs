//! Everything that can go wrong between the operator and the API server, at every request.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::{
    Client,
    client::{Body, ClientBuilder, DynBody},
};
use segmenter_cluster::ControlPlane;
use segmenter_operator::controller::kind::Kind;
use serde_json::{Value, json};
use tower::{BoxError, Layer, Service};

use crate::support::{SOON, Stage, defaults};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Another writer was quicker.
    Conflict,
    /// There are too many requests.
    TooMany,
    /// The API server is in trouble.
    Internal,
    /// A watch's resource version is too old.
    Gone,
    /// The connection breaks before the request is there.
    Unsent,
    /// The request is carried out, and the connection breaks before the answer is there.
    Unanswered,
    /// The answer ends in its middle; a watch ends.
    Cut,
}

const FAULTS: [Fault; 7] = [
    Fault::Conflict,
    Fault::TooMany,
    Fault::Internal,
    Fault::Gone,
    Fault::Unsent,
    Fault::Unanswered,
    Fault::Cut,
];

/// Lets every request pass but one.
#[derive(Clone, Default)]
struct Saboteur {
    fault: Option<Fault>,
    at: usize,
    seen: Arc<AtomicUsize>,
    /// Lists and watches of this kind are never answered.
    silent: Option<&'static str>,
}

impl<S> Layer<S> for Saboteur {
    type Service = Sabotaged<S>;

    fn layer(&self, inner: S) -> Sabotaged<S> {
        Sabotaged {
            inner,
            saboteur: self.clone(),
        }
    }
}

#[derive(Clone)]
struct Sabotaged<S> {
    inner: S,
    saboteur: Saboteur,
}

impl<S> Service<Request<Body>> for Sabotaged<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Box<DynBody>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let index = self.saboteur.seen.fetch_add(1, Ordering::SeqCst);
        let silent = self.saboteur.silent;
        if silent.is_some_and(|kind| request.uri().path().ends_with(kind)) {
            return Box::pin(std::future::pending());
        }
        let fault = self.saboteur.fault.filter(|_| index == self.saboteur.at);
        match fault {
            None => {
                let answer = self.inner.call(request);
                Box::pin(async { answer.await.map_err(Into::into) })
            }
            Some(Fault::Unsent) => Box::pin(async { Err("the connection broke".into()) }),
            Some(fault @ (Fault::Unanswered | Fault::Cut)) => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let answer = answer.await.map_err(Into::into)?;
                    match fault {
                        Fault::Cut => Ok(answer.map(|_| body("{\"kind\": ".to_owned()))),
                        _ => Err("the connection broke".into()),
                    }
                })
            }
            Some(fault) => Box::pin(async move { Ok(refusal(fault)) }),
        }
    }
}

type Answered = Result<Response<Box<DynBody>>, BoxError>;

fn body(text: String) -> Box<DynBody> {
    Box::new(Full::new(Bytes::from(text)).map_err(|never| match never {}))
}

/// What the API server answers then.
fn refusal(fault: Fault) -> Response<Box<DynBody>> {
    let (code, reason) = match fault {
        Fault::Conflict => (StatusCode::CONFLICT, "Conflict"),
        Fault::TooMany => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        Fault::Gone => (StatusCode::GONE, "Expired"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": "by way of a test",
    });
    let mut response = Response::new(body(status.to_string()));
    *response.status_mut() = code;
    response
}

fn wanted() -> Value {
    json!({
        "scaling": {"mode": "HPA", "maxReplicas": 3},
        "exposure": {"ingress": {}},
    })
}

/// A service gets all that it asks for and then asks for less, with one fault on the way; answers how many
/// requests the operator made.
async fn life(
    plane: &Arc<ControlPlane>,
    namespace: &str,
    fault: Option<Fault>,
    at: usize,
) -> anyhow::Result<usize> {
    let mut stage = Stage::without_operator(Arc::clone(plane), namespace).await?;
    stage.apply("demo", &wanted()).await?;
    let kubeconfig = stage.operators_kubeconfig().await?;
    let mut config = plane.config_from(&kubeconfig).await?;
    // Every fault reaches the operator, and none is repaired for it on the way.
    config.default_retry = false;
    let seen = Arc::new(AtomicUsize::new(0));
    let saboteur = Saboteur {
        fault,
        at,
        seen: Arc::clone(&seen),
        silent: None,
    };
    let client: Client = ClientBuilder::try_from(config)?
        .with_layer(&saboteur)
        .build();
    stage.start_with(defaults(), client).await?;
    let what = || format!("{fault:?} at request {at}");
    stage
        .has_exactly(
            "demo",
            &[
                Kind::Deployment,
                Kind::Service,
                Kind::HorizontalPodAutoscaler,
                Kind::Ingress,
            ],
        )
        .await
        .with_context(what)?;
    stage.apply("demo", &json!({})).await?;
    stage
        .has_exactly("demo", &[Kind::Deployment, Kind::Service])
        .await
        .with_context(what)?;
    stage
        .condition("demo", "Accepted", "True", "Valid")
        .await
        .with_context(what)?;
    let seen = seen.load(Ordering::SeqCst);
    stage.stop().await?;
    stage.services().delete("demo", &Default::default()).await?;
    Ok(seen)
}

/// Lives that are led at a time.
const AT_A_TIME: usize = 8;

pub(crate) async fn every_fault_at_every_request_is_got_over(
    plane: Arc<ControlPlane>,
) -> anyhow::Result<()> {
    let requests = life(&plane, "no-fault", None, 0).await?;
    let faults = FAULTS
        .iter()
        .enumerate()
        .flat_map(|(kind, &fault)| (0..requests).map(move |at| (kind, fault, at)));
    let lives = faults.map(|(kind, fault, at)| {
        let plane = Arc::clone(&plane);
        async move {
            let namespace = format!("fault-{kind}-{at}");
            life(&plane, &namespace, Some(fault), at).await
        }
    });
    let led: Vec<_> = stream::iter(lives)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await?;
    println!(
        "{requests} requests, {} faults at each: {} lives",
        FAULTS.len(),
        led.len()
    );
    ensure!(led.len() == requests * FAULTS.len());
    Ok(())
}

/// An operator that is told to stop while a list is still to come ends, and begins nothing.
pub(crate) async fn a_list_that_does_not_come_holds_up_no_stop(
    plane: Arc<ControlPlane>,
) -> anyhow::Result<()> {
    for kind in ["segmenterservices", "deployments"] {
        let namespace = format!("silent-{kind}");
        let mut stage = Stage::without_operator(Arc::clone(&plane), &namespace).await?;
        stage.apply("demo", &json!({})).await?;
        let kubeconfig = stage.operators_kubeconfig().await?;
        let config = plane.config_from(&kubeconfig).await?;
        let saboteur = Saboteur {
            silent: Some(kind),
            ..Saboteur::default()
        };
        let client: Client = ClientBuilder::try_from(config)?
            .with_layer(&saboteur)
            .build();
        stage.start_with(defaults(), client).await?;
        // Time for all other lists.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let begin = Instant::now();
        stage
            .stop()
            .await
            .with_context(|| format!("without {kind}"))?;
        ensure!(begin.elapsed() < SOON / 6, "{kind}: {:?}", begin.elapsed());
        let begun = stage.children(Kind::Service).get_opt("demo").await?;
        ensure!(begun.is_none(), "without {kind} it made {begun:#?}");
    }
    Ok(())
}

/// The API server goes away and comes back, and what happens before the watches are taken up again is
/// noticed all the same.
pub(crate) async fn an_outage_of_the_api_server_is_got_over(
    plane: Arc<ControlPlane>,
) -> anyhow::Result<()> {
    let stage = Stage::new(Arc::clone(&plane), "outage").await?;
    stage.apply("demo", &wanted()).await?;
    let kinds = [
        Kind::Deployment,
        Kind::Service,
        Kind::HorizontalPodAutoscaler,
        Kind::Ingress,
    ];
    stage.has_exactly("demo", &kinds).await?;
    plane.kill_api_server().await;
    plane.start_api_server().await?;
    // Right after the start: the operator's watches are still down, and see only that it is not there.
    stage
        .children(Kind::Ingress)
        .delete("demo", &Default::default())
        .await?;
    stage.has_exactly("demo", &kinds).await?;
    stage.quiet().await
}
