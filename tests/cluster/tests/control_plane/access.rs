//! Who may do what, and what is written down of it.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use segmenter_cluster::{AuditEvent, ControlPlane, Error, eventually};
use serde_json::json;

use crate::{Result, SOON, namespace};

pub(crate) async fn users_may_do_what_their_groups_may(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "users").await?;
    let mallory = plane.kubeconfig_for("mallory", &["strangers", "readers"])?;
    let mallory = mallory.to_str().context("not UTF-8")?;
    let list = [
        "get",
        "configmaps",
        "--namespace=users",
        "--kubeconfig",
        mallory,
    ];
    let refused = plane.kubectl(&list).await?;
    ensure!(!refused.status.success(), "{refused:?}");
    ensure!(
        refused
            .stderr
            .contains(r#"User "mallory" cannot list resource "configmaps""#),
        "{refused:?}"
    );

    // The last of the groups counts like the first.
    plane
        .kubectl(&[
            "create",
            "rolebinding",
            "readers",
            "--namespace=users",
            "--clusterrole=view",
            "--group=readers",
        ])
        .await?
        .ok()?;
    eventually("the right to read", SOON, async || {
        Ok(Some(plane.kubectl(&list).await?.ok()?))
    })
    .await?;

    let many = plane.kubeconfig_for("mallory", &["one", "two", "three"]);
    ensure!(
        matches!(many, Err(Error::Groups { limit: 2, .. })),
        "{many:?}"
    );
    Ok(())
}

pub(crate) async fn a_service_account_has_its_own_rights(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "accounts").await?;
    let missing = plane.kubeconfig_for_account("accounts", "robot").await;
    ensure!(missing.is_err(), "{missing:?}");
    plane
        .kubectl(&["create", "serviceaccount", "robot", "--namespace=accounts"])
        .await?
        .ok()?;
    let robot = plane.kubeconfig_for_account("accounts", "robot").await?;
    let path = robot.to_str().context("not UTF-8")?;
    let name = plane
        .kubectl(&[
            "auth",
            "whoami",
            "--output=jsonpath={.status.userInfo.username}",
            "--kubeconfig",
            path,
        ])
        .await?
        .ok()?;
    ensure!(name == "system:serviceaccount:accounts:robot", "{name}");
    let pods = Api::<Pod>::all(plane.client_from(&robot).await?);
    match pods.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}

pub(crate) async fn every_answer_is_audited(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "audit").await?;
    plane
        .kubectl(&[
            "create",
            "rolebinding",
            "alice",
            "--namespace=audit",
            "--clusterrole=edit",
            "--user=alice",
        ])
        .await?
        .ok()?;
    let alice = plane
        .client_from(&plane.kubeconfig_for("alice", &[])?)
        .await?;
    let maps = Api::<ConfigMap>::namespaced(alice.clone(), "audit");
    eventually("the right to read", SOON, async || {
        Ok(Some(maps.list(&ListParams::default()).await?))
    })
    .await?;
    let map = serde_json::from_value(json!({ "metadata": { "name": "settings" } }))?;
    let writes = |events: Vec<AuditEvent>| {
        let mut events: Vec<_> = events
            .into_iter()
            .filter(|event| event.user == "alice" && event.is_write())
            .map(|event| {
                let AuditEvent {
                    verb,
                    resource,
                    namespace,
                    name,
                    code,
                    allowed,
                    ..
                } = event;
                format!("{verb} {resource} {namespace}/{name}: {code} {allowed}")
            })
            .collect();
        events.sort();
        events
    };

    // Often, to see that no event is missed that is written a moment after its answer.
    for _ in 0..50 {
        let position = plane.audit_position().await?;
        maps.create(&PostParams::default(), &map).await?;
        let events = plane.audit_since(position).await?;
        ensure!(
            writes(events.clone()) == ["create configmaps audit/settings: 201 true"],
            "{events:?}"
        );

        let position = plane.audit_position().await?;
        let elsewhere = Api::<ConfigMap>::namespaced(alice.clone(), "default");
        elsewhere
            .create(&PostParams::default(), &map)
            .await
            .err()
            .context("written in a foreign namespace")?;
        maps.delete("settings", &DeleteParams::default()).await?;
        let events = plane.audit_since(position).await?;
        ensure!(
            writes(events.clone())
                == [
                    // Refused before the body was read, which alone has the name.
                    "create configmaps default/: 403 false",
                    "delete configmaps audit/settings: 200 true",
                ],
            "{events:?}"
        );
        let position = plane.audit_position().await?;
        ensure!(writes(plane.audit_since(position).await?).is_empty());
    }
    // All of it, from the beginning: both the rounds above and the controllers.
    let all = plane.audit().await?;
    ensure!(writes(all.clone()).len() == 150);
    ensure!(
        all.iter()
            .any(|event| event.user == "system:kube-controller-manager")
    );
    Ok(())
}
