//! What the operator watches: services, the objects that it made, and their pods.

use std::{collections::BTreeMap, fmt::Debug, hash::Hash, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, future, stream};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::DynamicObject,
    core::DeserializeGuard,
    runtime::{
        Controller, WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{UnboundedReceiverStream, WatchStream};

use crate::{
    api::SegmenterService,
    chain::chain,
    controller::{
        Context,
        identity::{INSTANCE, MANAGED_BY},
        kind::Kind,
        memory,
        observe::{Served, Stores},
    },
};

type Services = DeserializeGuard<SegmenterService>;

/// A namespace, or all of them, that the operator looks after.
pub struct Scope {
    namespace: Option<String>,
    services: Writer<Services>,
}

/// A scope that is watched once its [controller](Self::controller) runs.
pub struct Watched {
    scope: Scope,
    client: Client,
    /// What the watches have seen.
    pub stores: Stores,
    children: BTreeMap<Kind, Writer<DynamicObject>>,
    pods: Writer<Pod>,
    served: watch::Receiver<Served>,
}

impl Scope {
    /// This namespace, or all.
    pub fn new(namespace: Option<String>) -> Self {
        Self {
            namespace,
            services: Writer::new(()),
        }
    }

    /// Its services, once they are watched.
    pub fn services(&self) -> Store<Services> {
        self.services.as_reader()
    }

    /// Prepares to watch it.
    pub fn watch(self, client: &Client, served: &watch::Receiver<Served>) -> Watched {
        let children: BTreeMap<_, _> = Kind::ALL
            .into_iter()
            .map(|kind| (kind, Writer::new(kind.resource())))
            .collect();
        let pods = Writer::new(());
        let readers = children.iter();
        let readers = readers.map(|(kind, writer)| (*kind, writer.as_reader()));
        Watched {
            scope: self,
            client: client.clone(),
            stores: Stores {
                children: readers.collect(),
                pods: pods.as_reader(),
            },
            children,
            pods,
            served: served.clone(),
        }
    }
}

impl Watched {
    /// The services, once the controller runs.
    pub fn services(&self) -> Store<Services> {
        self.scope.services()
    }

    /// A controller that reconciles a service whenever anything that concerns it changes.
    pub fn controller(self, context: &Arc<Context>) -> Controller<Services> {
        let Self {
            scope,
            client,
            children,
            pods,
            served,
            ..
        } = self;
        // What a watch missed while it was down shows when it has listed everything again, in no event of
        // its own: then every service is looked at.
        let (relisted, relists) = mpsc::unbounded_channel();

        let namespace = scope.namespace.as_deref();
        let services = namespaced::<Services>(&client, namespace);
        let reader = scope.services.as_reader();
        let (gone, listed) = (Arc::clone(context), reader.clone());
        let services = followed(services, watcher::Config::default(), relisted.clone())
            .modify(|service| service.meta_mut().managed_fields = None)
            .reflect(scope.services)
            .inspect_ok(move |event| match event {
                Event::Delete(service) => gone.memory.forget(service),
                // Those that went while the watch was down are in no event.
                Event::InitDone => gone.memory.keep(&listed.state()),
                _ => {}
            })
            .applied_objects();
        let mut controller = Controller::for_stream(services, reader);

        let managed =
            watcher::Config::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1));
        for (kind, writer) in children {
            let api = dynamic(&client, namespace, kind);
            let (managed, relisted) = (managed.clone(), relisted.clone());
            let seen = stream::once(until_served(served.clone(), kind))
                .flat_map(move |()| followed(api.clone(), managed.clone(), relisted.clone()))
                .modify(memory::reduce)
                .reflect(writer)
                .touched_objects();
            controller = controller.owns_stream_with(seen, kind.resource());
        }

        let seen = followed(namespaced::<Pod>(&client, namespace), managed, relisted)
            .modify(|pod: &mut Pod| {
                pod.metadata.managed_fields = None;
                pod.metadata.annotations = None;
                pod.spec = None;
            })
            .reflect(pods)
            .touched_objects();
        let changes = WatchStream::from_changes(served).map(|_| ());
        controller
            .watches_stream(seen, |pod| {
                let name = pod.labels().get(INSTANCE).cloned();
                let namespace = pod.namespace();
                let service = name.zip(namespace);
                service.map(|(name, namespace)| ObjectRef::new(&name).within(&namespace))
            })
            .reconcile_all_on(stream::select(
                UnboundedReceiverStream::new(relists),
                changes,
            ))
    }
}

/// The objects of this namespace, or of all.
fn namespaced<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The same of a kind that is known by its name only.
fn dynamic(client: &Client, namespace: Option<&str>, kind: Kind) -> Api<DynamicObject> {
    let resource = kind.resource();
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// How long a watch that broke off waits before it is taken up again, at the most. client-go's, and kube's by default,
/// wait up to 30 s, so that an operator may do nothing for half a minute after the API server is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// kube's pauses, and none longer than [`LONGEST_PAUSE`].
#[derive(Default)]
struct Pause(DefaultBackoff);

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next()?.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// What is at this address, for as long as anybody looks, through all trouble; tells when all was listed.
fn followed<K>(
    api: Api<K>,
    config: watcher::Config,
    relisted: mpsc::UnboundedSender<()>,
) -> impl stream::Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let path = api.resource_url().to_owned();
    let events = watcher(api, config).backoff(Pause::default());
    events.filter_map(move |event| {
        if matches!(event, Ok(Event::InitDone)) {
            // Nobody listens any more when the controller has ended.
            let _ = relisted.send(());
        }
        // An error ends here: the controller would hold up all watches for the trouble of one.
        let event = event.inspect_err(|error| {
            tracing::warn!(path, error = %chain(error), "a watch broke off and will be taken up again");
        });
        future::ready(event.ok().map(Ok))
    })
}

/// Waits until the cluster has this kind.
async fn until_served(mut served: watch::Receiver<Served>, kind: Kind) {
    if served
        .wait_for(|served| served.contains(&kind))
        .await
        .is_err()
    {
        // Discovery has ended, and the process with it.
        future::pending::<()>().await;
    }
}
