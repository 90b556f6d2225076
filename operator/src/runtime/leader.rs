//! One replica reconciles; the others stand by.

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::{sync::watch, task::JoinHandle};

/// The lease's name.
pub const LEASE: &str = "segmenter-operator";
/// For how long a leader that says nothing is believed to live, in seconds.
const DURATION: u64 = 15;
/// How long before the end of that it says something, in seconds.
const GRACE: u64 = 5;

/// Somebody who may lead.
pub struct Candidate {
    leads: watch::Receiver<bool>,
    office: Office,
}

enum Office {
    /// There is a lease, which a task queues for and renews.
    Lease(JoinHandle<Result<LeaseManager, LeaseManagerError>>),
    /// Nobody else may lead.
    Unopposed(
        #[expect(dead_code, reason = "nobody is told otherwise while it lives")]
        watch::Sender<bool>,
    ),
}

impl Candidate {
    /// Queues for the lease of this namespace under this name, which has to be the replica's own.
    pub async fn queue(
        client: Client,
        namespace: &str,
        name: &str,
    ) -> Result<Self, LeaseManagerError> {
        let manager = LeaseManagerBuilder::new(client, LEASE)
            .with_namespace(namespace)
            .with_identity(name)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .with_field_manager(name)
            .build()
            .await?;
        let (leads, task) = manager.watch().await;
        let office = Office::Lease(task);
        Ok(Self { leads, office })
    }

    /// Leads at once and for ever.
    pub fn unopposed() -> Self {
        let (sender, leads) = watch::channel(true);
        let office = Office::Unopposed(sender);
        Self { leads, office }
    }

    /// Waits until this replica leads, or for ever.
    pub async fn elected(&mut self) {
        if self.leads.wait_for(|leads| *leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this replica leads no longer.
    pub async fn lost(&mut self) {
        // A task that has ended renews nothing.
        let _ = self.leads.wait_for(|leads| !*leads).await;
    }

    /// Gives the lease back. Another replica notices when the lease would have ended.
    pub async fn resign(self) {
        drop(self.leads);
        if let Office::Lease(task) = self.office
            && let Ok(Err(error)) = task.await
        {
            tracing::warn!(%error, "cannot give the lease back, it will run out");
        }
    }
}
