//! The Pod Security Standard "restricted", as far as Linux goes:
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>.

use serde_json::{Value, json};

/// What of a PodSpec breaks it.
pub(super) fn violations(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        check(pod[field] != json!(true), format!("spec.{field}"));
    }
    const VOLUMES: [&str; 9] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in list(&pod["volumes"]) {
        let kinds = volume
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "name");
        for kind in kinds {
            check(
                VOLUMES.contains(&kind.as_str()),
                format!("a volume of kind {kind}"),
            );
        }
    }
    let whole = &pod["securityContext"];
    check(
        list(&whole["sysctls"]).is_empty(),
        "spec.securityContext.sysctls".to_owned(),
    );
    check(
        whole["runAsUser"] != json!(0),
        "spec.securityContext.runAsUser".to_owned(),
    );
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    for container in containers.iter().flat_map(|field| list(&pod[*field])) {
        let (name, own) = (&container["name"], &container["securityContext"]);
        // A container's own word wins over the pod's.
        let said = |field: &str| match &own[field] {
            Value::Null => whole[field].clone(),
            said => said.clone(),
        };
        check(
            own["privileged"] != json!(true),
            format!("{name} is privileged"),
        );
        check(
            own["allowPrivilegeEscalation"] == json!(false),
            format!("{name} may escalate"),
        );
        check(
            said("runAsNonRoot") == json!(true),
            format!("{name} may be root"),
        );
        check(own["runAsUser"] != json!(0), format!("{name} is root"));
        let profile = said("seccompProfile")["type"].clone();
        check(
            profile == json!("RuntimeDefault") || profile == json!("Localhost"),
            format!("{name} has the seccomp profile {profile}"),
        );
        let capabilities = &own["capabilities"];
        check(
            list(&capabilities["drop"]).contains(&json!("ALL")),
            format!("{name} keeps capabilities"),
        );
        check(
            list(&capabilities["add"])
                .iter()
                .all(|added| *added == json!("NET_BIND_SERVICE")),
            format!("{name} adds capabilities"),
        );
        check(
            own["procMount"].is_null() || own["procMount"] == json!("Default"),
            format!("{name}: procMount"),
        );
        for port in list(&container["ports"]) {
            check(
                port["hostPort"].as_i64().unwrap_or(0) == 0,
                format!("{name} has a port of the host"),
            );
        }
    }
    found
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The check itself has to see what is wrong.
#[test]
fn every_violation_is_seen() {
    let good = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        }}],
    });
    assert_eq!(violations(&good), [""; 0]);
    for (pointer, value) in [
        ("/hostNetwork", json!(true)),
        (
            "/volumes",
            json!([{"name": "a", "hostPath": {"path": "/"}}]),
        ),
        ("/securityContext/runAsNonRoot", json!(false)),
        ("/securityContext/runAsUser", json!(0)),
        ("/securityContext/seccompProfile/type", json!("Unconfined")),
        ("/containers/0/securityContext/privileged", json!(true)),
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            Value::Null,
        ),
        ("/containers/0/securityContext/capabilities/drop", json!([])),
        (
            "/containers/0/securityContext/capabilities/add",
            json!(["SYS_ADMIN"]),
        ),
        (
            "/containers/0/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
        ),
        (
            "/containers/0/ports",
            json!([{"containerPort": 1, "hostPort": 1}]),
        ),
    ] {
        let mut bad = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[field] = value;
        assert_eq!(
            violations(&bad).len(),
            1,
            "{pointer}: {:?}",
            violations(&bad)
        );
    }
}
