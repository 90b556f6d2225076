//! What is remembered from one reconciliation to the next. Nothing depends on it but the number of requests:
//! without it everything is written once more, which changes nothing.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    api::{DynamicObject, ObjectMeta},
    runtime::reflector::ObjectRef,
};
use serde_json::{Value, json};

use super::kind::Kind;
use crate::api::{SegmenterService, SegmenterServiceStatus};

/// What is remembered of all services.
#[derive(Debug, Default)]
pub struct Memory {
    /// Objects when the operator last wrote them, by their service's uid.
    objects: Mutex<HashMap<(String, Kind), Written>>,
    /// The status that was last written and its resource version, while the watch has not seen it yet.
    statuses: Mutex<HashMap<String, (u64, SegmenterServiceStatus)>>,
    /// Failures in a row.
    failures: Mutex<HashMap<ObjectRef<SegmenterService>, u32>>,
    /// Since when services cannot be read, by their uid.
    unreadable: Mutex<HashMap<String, Timestamp>>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    /// Hash of what the operator asked for.
    desired: u64,
    /// Hash of what the object was then.
    fingerprint: u64,
    resource_version: u64,
}

impl Memory {
    /// Drops what is known of a service that is gone.
    pub fn forget(&self, service: &impl Resource<DynamicType = ()>) {
        if let Some(uid) = service.meta().uid.as_deref() {
            lock(&self.objects).retain(|(owner, _), _| owner != uid);
            lock(&self.statuses).remove(uid);
            lock(&self.unreadable).remove(uid);
        }
        self.succeeded(service);
    }

    /// Drops what is known of all services but these: the end of one may have been missed.
    pub fn keep<S: Resource<DynamicType = ()>>(&self, services: &[Arc<S>]) {
        let uids: HashSet<_> = services
            .iter()
            .filter_map(|service| service.meta().uid.as_deref())
            .collect();
        lock(&self.objects).retain(|(owner, _), _| uids.contains(owner.as_str()));
        lock(&self.statuses).retain(|uid, _| uids.contains(uid.as_str()));
        lock(&self.unreadable).retain(|uid, _| uids.contains(uid.as_str()));
        let names: HashSet<_> = services
            .iter()
            .map(|service| reference(&**service))
            .collect();
        lock(&self.failures).retain(|name, _| names.contains(name));
    }

    /// Since when this service cannot be read.
    pub(super) fn unreadable_since(&self, uid: &str, now: Timestamp) -> Timestamp {
        *lock(&self.unreadable).entry(uid.to_owned()).or_insert(now)
    }

    /// Notes that this service can be read.
    pub(super) fn readable(&self, uid: &str) {
        lock(&self.unreadable).remove(uid);
    }

    /// Whether the object is as the operator left it, and what is asked for too.
    pub(super) fn holds(&self, uid: &str, kind: Kind, desired: u64, found: &DynamicObject) -> bool {
        let written = lock(&self.objects).get(&(uid.to_owned(), kind)).copied();
        written.is_some_and(|written| {
            // What the watch has may be older than the last write.
            let behind = resource_version(&found.metadata) < written.resource_version;
            written.desired == desired && (behind || written.fingerprint == fingerprint(found))
        })
    }

    /// Whether the watch has yet to see what was last written of this object: what it says of it is about the
    /// time before.
    pub(super) fn is_ahead_of(&self, uid: &str, kind: Kind, found: &DynamicObject) -> bool {
        let written = lock(&self.objects).get(&(uid.to_owned(), kind)).copied();
        written.is_some_and(|written| resource_version(&found.metadata) < written.resource_version)
    }

    /// Whether an object of this kind was written, and not forgotten since.
    pub(super) fn has_written(&self, uid: &str, kind: Kind) -> bool {
        lock(&self.objects).contains_key(&(uid.to_owned(), kind))
    }

    /// Forgets an object that is gone.
    pub(super) fn forget_object(&self, uid: &str, kind: Kind) {
        lock(&self.objects).remove(&(uid.to_owned(), kind));
    }

    /// Notes an object that was just written.
    pub(super) fn note(&self, uid: &str, kind: Kind, desired: u64, object: &DynamicObject) {
        let written = Written {
            desired,
            fingerprint: fingerprint(object),
            resource_version: resource_version(&object.metadata),
        };
        lock(&self.objects).insert((uid.to_owned(), kind), written);
    }

    /// The status so far: the watch may not have seen the last one yet.
    pub(super) fn status(&self, service: &SegmenterService) -> SegmenterServiceStatus {
        let seen = resource_version(&service.metadata);
        let mut statuses = lock(&self.statuses);
        let uid = service.uid().unwrap_or_default();
        if let Some((written, status)) = statuses.get(&uid) {
            if *written > seen {
                return status.clone();
            }
            statuses.remove(&uid);
        }
        service.status.clone().unwrap_or_default()
    }

    /// Notes a status that was just written, and what the service was then.
    pub(super) fn note_status(
        &self,
        written: &impl Resource<DynamicType = ()>,
        status: &SegmenterServiceStatus,
    ) {
        if let Some(uid) = written.uid() {
            let version = resource_version(written.meta());
            lock(&self.statuses).insert(uid, (version, status.clone()));
        }
    }

    /// Counts a failure; answers how many there were in a row.
    pub(super) fn failed(&self, service: &impl Resource<DynamicType = ()>) -> u32 {
        let mut failures = lock(&self.failures);
        let count = failures.entry(reference(service)).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    /// Ends the row of failures.
    pub(super) fn succeeded(&self, service: &impl Resource<DynamicType = ()>) {
        lock(&self.failures).remove(&reference(service));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The service by its name; also of one that could not be read.
pub(super) fn reference(service: &impl Resource<DynamicType = ()>) -> ObjectRef<SegmenterService> {
    ObjectRef::new(&service.name_any()).within(&service.namespace().unwrap_or_default())
}

/// Resource versions can be compared since Kubernetes 1.35, and could in effect before.
fn resource_version(metadata: &ObjectMeta) -> u64 {
    let version = metadata.resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

const FINGERPRINT: &str = "fingerprint";

/// Reduces an object that is watched to what the operator looks at: metadata, status, replicas, and a hash of
/// all that somebody could have changed.
pub fn reduce(object: &mut DynamicObject) {
    let fingerprint = fingerprint(object);
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    let status = object.data.get_mut("status").map(Value::take);
    let replicas = object.data.pointer("/spec/replicas").cloned();
    object.data = json!({ FINGERPRINT: fingerprint, "status": status, "replicas": replicas });
}

/// A hash of all of an object that is not its status or the server's bookkeeping.
fn fingerprint(object: &DynamicObject) -> u64 {
    if let Some(kept) = object.data.get(FINGERPRINT).and_then(Value::as_u64) {
        return kept;
    }
    let mut hasher = DefaultHasher::new();
    let metadata = &object.metadata;
    metadata.labels.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    let owners = metadata.owner_references.iter().flatten();
    owners.for_each(|owner| (&owner.uid, owner.controller).hash(&mut hasher));
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    for (field, value) in object.data.as_object().into_iter().flatten() {
        if field != "status" {
            (field, value.to_string()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str) -> DynamicObject {
        let object = json!({"metadata": {"name": "demo", "resourceVersion": version}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_was_seen_before_the_last_write_is_known_to_be_older() {
        let memory = Memory::default();
        let is_ahead = |version| memory.is_ahead_of("1", Kind::Deployment, &object(version));
        assert!(!is_ahead("6"));
        memory.note("1", Kind::Deployment, 0, &object("7"));
        assert!(is_ahead("6"));
        // And again, if the watch lags for longer than one reconciliation.
        assert!(is_ahead("6"));
        assert!(!is_ahead("7"));
        assert!(!is_ahead("8"));
    }

    #[test]
    fn nothing_is_kept_of_services_that_are_gone() {
        let service = |name: &str| -> Arc<SegmenterService> {
            let service = json!({
                "apiVersion": "segmenter.dev/v1alpha1", "kind": "SegmenterService",
                "metadata": {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1"},
                "spec": {},
            });
            Arc::new(serde_json::from_value(service).unwrap())
        };
        let (here, gone) = (service("here"), service("gone"));
        let memory = Memory::default();
        for service in [&here, &gone] {
            let uid = service.metadata.uid.as_deref().unwrap();
            memory.note(uid, Kind::Deployment, 0, &object("1"));
            memory.note_status(&**service, &SegmenterServiceStatus::default());
            memory.failed(&**service);
            memory.unreadable_since(uid, Timestamp::UNIX_EPOCH);
        }
        memory.keep(&[here]);
        assert!(memory.has_written("here", Kind::Deployment));
        assert_eq!(lock(&memory.objects).len(), 1);
        assert_eq!(lock(&memory.statuses).len(), 1);
        assert_eq!(lock(&memory.failures).len(), 1);
        assert_eq!(lock(&memory.unreadable).len(), 1);
    }
}
