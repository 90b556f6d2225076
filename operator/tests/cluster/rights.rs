//! The rights that the chart gives the operator.

use std::path::{Path, PathBuf};

use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding, RoleRef, Subject},
};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use segmenter_cluster::{ControlPlane, eventually};
use tokio::sync::OnceCell;

use super::{Result, SOON};

/// Where the operator is installed.
pub(crate) const SYSTEM: &str = "segmenter-system";
/// The release, and with it the names of most of what it installs.
pub(crate) const RELEASE: &str = "segmenter-operator";

/// A file of the repository.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The folder of a chart.
pub(crate) fn folder(chart: &str) -> String {
    file("charts").join(chart).display().to_string()
}

/// Installs a chart or brings it up to date, with these `--set`s.
pub(crate) async fn install(plane: &ControlPlane, chart: &str, values: &[&str]) -> Result {
    let folder = folder(chart);
    let mut arguments = vec!["upgrade", "--install", chart, &folder];
    arguments.extend(["--namespace", SYSTEM, "--create-namespace"]);
    for value in values {
        arguments.extend(["--set", value]);
    }
    plane.helm(&arguments).await?.ok()?;
    Ok(())
}

/// Gives a new ServiceAccount the rights that the chart gives the operator, in its own namespace.
pub(crate) async fn give(plane: &ControlPlane, namespace: &str, account: &str) -> Result {
    // Once for all tests: they share the control plane.
    static RULES: OnceCell<[Vec<PolicyRule>; 2]> = OnceCell::const_new();
    let client = plane.client()?;
    let rules = RULES
        .get_or_try_init(async || -> Result<_> {
            // Its pods would wait for a node for ever.
            install(plane, RELEASE, &["replicas=0"]).await?;
            let role = Api::<ClusterRole>::all(client.clone());
            let role = role.get(&format!("{SYSTEM}-{RELEASE}")).await?;
            let lease = Api::<Role>::namespaced(client.clone(), SYSTEM);
            let lease = lease.get(&format!("{RELEASE}-lease")).await?;
            Ok([role.rules, lease.rules].map(Option::unwrap_or_default))
        })
        .await?;
    let metadata = ObjectMeta {
        name: Some(account.to_owned()),
        ..ObjectMeta::default()
    };
    let role = Role {
        metadata: metadata.clone(),
        rules: Some(rules.concat()),
    };
    let binding = RoleBinding {
        metadata: metadata.clone(),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: account.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: account.to_owned(),
            namespace: Some(namespace.to_owned()),
            api_group: None,
        }]),
    };
    let who = ServiceAccount {
        metadata,
        ..ServiceAccount::default()
    };
    let parameters = PatchParams::apply("tests");
    let roles = Api::<Role>::namespaced(client.clone(), namespace);
    roles
        .patch(account, &parameters, &Patch::Apply(&role))
        .await?;
    let bindings = Api::<RoleBinding>::namespaced(client.clone(), namespace);
    bindings
        .patch(account, &parameters, &Patch::Apply(&binding))
        .await?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    accounts
        .patch(account, &parameters, &Patch::Apply(&who))
        .await?;

    // The API server learns of bindings a moment later.
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{account}")),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some("list".to_owned()),
                group: Some("segmenter.dev".to_owned()),
                resource: Some("segmenterservices".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews = Api::<SubjectAccessReview>::all(client);
    eventually("the operator's rights", SOON, async || {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.filter(|status| status.allowed).map(|_| ()))
    })
    .await
}
