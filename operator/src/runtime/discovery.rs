//! Which kinds of other projects the cluster has.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::Client;
use tokio::sync::watch;

use crate::{
    controller::{kind::Kind, observe::Served},
    metrics::Metrics,
};

/// Asks once, then again and again; ends when nobody listens any more.
///
/// Discovery is open to everybody in a cluster, unlike the list of CustomResourceDefinitions.
pub async fn follow(
    client: Client,
    every: Duration,
    metrics: Arc<Metrics>,
) -> watch::Receiver<Served> {
    let served = look(&client, &Served::new()).await;
    metrics.served(&served);
    let (sender, receiver) = watch::channel(served);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(every) => {}
            }
            let before = sender.borrow().clone();
            let served = look(&client, &before).await;
            metrics.served(&served);
            sender.send_if_modified(|known| {
                if *known == served {
                    return false;
                }
                for kind in served.difference(known) {
                    tracing::info!("the cluster has {} now", kind.name());
                }
                for kind in known.difference(&served) {
                    tracing::info!("the cluster has {} no longer", kind.name());
                }
                *known = served;
                true
            });
        }
    });
    receiver
}

/// The kinds that are served; those that cannot be asked for are taken to be as before.
async fn look(client: &Client, before: &Served) -> Served {
    let (mut served, optional): (Served, Served) = Kind::ALL
        .into_iter()
        .partition(|kind| kind.provider().is_none());
    let optional: Vec<_> = optional
        .into_iter()
        .map(|kind| (kind, kind.resource()))
        .collect();
    let versions: BTreeSet<_> = optional
        .iter()
        .map(|(_, resource)| resource.api_version.clone())
        .collect();
    for version in versions {
        let of_version = optional
            .iter()
            .filter(|(_, resource)| resource.api_version == version);
        match client.list_api_group_resources(&version).await {
            Ok(list) => served.extend(
                of_version
                    .filter(|(_, resource)| {
                        list.resources
                            .iter()
                            .any(|found| found.kind == resource.kind)
                    })
                    .map(|(kind, _)| *kind),
            ),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                tracing::warn!(%error, "cannot ask the cluster for {version}");
                served.extend(
                    of_version
                        .map(|(kind, _)| *kind)
                        .filter(|kind| before.contains(kind)),
                );
            }
        }
    }
    served
}
