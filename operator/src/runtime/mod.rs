//! What keeps the controller running: watches, discovery, the lease, probes, logs.

pub mod discovery;
pub mod leader;
pub mod server;
pub mod telemetry;
pub mod watches;

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, future};
use kube::{
    Client,
    core::DeserializeGuard,
    runtime::{
        controller::Config,
        events::{Recorder, Reporter},
        reflector::Store,
    },
};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use self::watches::Scope;
use crate::{
    api::SegmenterService,
    controller::{
        Context, build::Defaults, error_policy, memory::Memory, observe::Served, reconcile,
    },
    metrics::Metrics,
};

/// Services that are reconciled at a time.
const CONCURRENCY: u16 = 16;
/// Changes that come within this time are looked at together.
const DEBOUNCE: std::time::Duration = std::time::Duration::from_millis(50);

/// The operator, ready to run.
pub struct Operator {
    client: Client,
    defaults: Defaults,
    served: watch::Receiver<Served>,
    metrics: Arc<Metrics>,
    scopes: Vec<Scope>,
    /// The services of each scope, for those who want to look at them.
    pub services: Vec<Store<DeserializeGuard<SegmenterService>>>,
}

impl Operator {
    /// An operator of these namespaces, or of all.
    pub fn new(
        client: Client,
        defaults: Defaults,
        namespaces: &[String],
        served: watch::Receiver<Served>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let scopes: Vec<_> = if namespaces.is_empty() {
            vec![Scope::new(None)]
        } else {
            namespaces
                .iter()
                .map(|name| Scope::new(Some(name.clone())))
                .collect()
        };
        let services = scopes.iter().map(Scope::services).collect();
        Self {
            client,
            defaults,
            served,
            metrics,
            scopes,
            services,
        }
    }

    /// Reconciles until it is told to stop, and finishes what it is at then.
    pub async fn run(self, stop: CancellationToken) {
        let recorder = Recorder::new(
            self.client.clone(),
            Reporter {
                controller: "segmenter-operator".to_owned(),
                instance: std::env::var("POD_NAME").ok(),
            },
        );
        let controllers = self.scopes.into_iter().map(|scope| {
            let watched = scope.watch(&self.client, &self.served);
            let context = Arc::new(Context {
                client: self.client.clone(),
                stores: watched.stores.clone(),
                served: self.served.clone(),
                defaults: self.defaults.clone(),
                memory: Memory::default(),
                recorder: recorder.clone(),
                metrics: Arc::clone(&self.metrics),
                synced: OnceCell::new(),
                stop: stop.clone(),
            });
            control(watched, context, stop.clone())
        });
        future::join_all(controllers).await;
    }
}

async fn control(watched: watches::Watched, context: Arc<Context>, stop: CancellationToken) {
    let services = watched.services();
    let unstarted = async {
        stop.cancelled().await;
        if services.wait_until_ready().now_or_never().is_some() {
            future::pending::<()>().await;
        }
    };
    let controller = watched
        .controller(&context)
        .with_config(
            Config::default()
                .concurrency(CONCURRENCY)
                .debounce(DEBOUNCE),
        )
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(reconcile, error_policy, context)
        .for_each(|result| {
            match result {
                Ok((service, _)) => tracing::debug!(%service, "reconciled"),
                // Those of reconciliations are told of where they happen.
                Err(kube::runtime::controller::Error::ReconcilerFailed(..)) => {}
                // It was deleted while it waited for its turn.
                Err(kube::runtime::controller::Error::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!(%error, "the watches are in trouble"),
            }
            future::ready(())
        });
    tokio::select! {
        () = controller => {}
        // Before it has listed the services kube's controller has begun nothing, and told to stop it would
        // wait for that list for ever, without looking for it.
        () = unstarted => {}
    }
}
