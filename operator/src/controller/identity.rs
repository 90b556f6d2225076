//! Names and labels: what ties a service's objects to it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::kind::Kind;
use crate::api::SegmenterService;

/// Who applies; the one field manager of everything that the operator writes.
pub const FIELD_MANAGER: &str = "segmenter-operator";

/// Marks everything that the operator made; it watches nothing else.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", FIELD_MANAGER);

const NAME: (&str, &str) = ("app.kubernetes.io/name", "segmenter");

/// The label that holds the service's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";

/// A service, as its objects know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its name, which most of its objects share.
    pub name: String,
    /// Its namespace, and that of all its objects.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    owner: OwnerReference,
}

impl Identity {
    /// Of this service; `None` if the API server has not given it a uid and a namespace.
    pub fn of(service: &SegmenterService) -> Option<Self> {
        Some(Self {
            name: service.name_any(),
            namespace: service.namespace()?,
            uid: service.uid()?,
            owner: service.controller_owner_ref(&())?,
        })
    }

    /// Labels of every object.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        labels
    }

    /// What selects the pods. It can never change: a Deployment's is immutable.
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (NAME.0.to_owned(), NAME.1.to_owned()),
            (INSTANCE.to_owned(), self.name.clone()),
        ])
    }

    /// The same, as Kubernetes writes it.
    pub fn label_selector(&self) -> LabelSelector {
        LabelSelector {
            match_labels: Some(self.selector()),
            match_expressions: None,
        }
    }

    /// The same in a line.
    pub fn selector_text(&self) -> String {
        let pairs = self.selector();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        pairs.join(",")
    }

    /// What the service's object of this kind is called: as the service, but for the ConfigMap, which says
    /// what is in it.
    pub fn name_of(&self, kind: Kind) -> String {
        match kind {
            Kind::ConfigMap => format!("{}-dashboard", self.name),
            _ => self.name.clone(),
        }
    }

    /// Metadata of the object of the service's own name.
    pub fn metadata(&self) -> ObjectMeta {
        self.metadata_named(&self.name)
    }

    /// Metadata of an object of this name, which goes when the service goes.
    pub fn metadata_named(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels()),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// Whether an object with these owners is this service's.
    pub fn owns(&self, metadata: &ObjectMeta) -> bool {
        metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| owner.uid == self.uid)
    }
}
