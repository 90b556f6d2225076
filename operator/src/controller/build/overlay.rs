//! Laying a part of an object over an object.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use super::InvalidSpec;
use crate::controller::identity::Identity;

/// What the elements of lists of objects are known by, as in Kubernetes' strategic merge.
const KEYS: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("ports", "containerPort"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
];

/// The template with `overlay` laid over it. It has to be a pod template still, with the labels that the
/// Service finds its pods by.
pub(super) fn lay(
    template: &PodTemplateSpec,
    overlay: &Value,
    identity: &Identity,
) -> Result<PodTemplateSpec, InvalidSpec> {
    let invalid = |error: serde_json::Error| InvalidSpec::Overlay(error.to_string());
    let mut merged = serde_json::to_value(template).map_err(invalid)?;
    merge(&mut merged, overlay, "");
    let laid: PodTemplateSpec = serde_json::from_value(merged.clone()).map_err(invalid)?;
    // A field that no pod template has would otherwise be dropped in silence.
    let kept = serde_json::to_value(&laid).map_err(invalid)?;
    if let Some(path) = lost(&merged, &kept, "") {
        return Err(InvalidSpec::Overlay(format!(
            "a pod template has no {path}; it has metadata and spec, like spec.template of a Deployment"
        )));
    }
    let labels = laid
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.labels.as_ref());
    for (key, value) in identity.labels() {
        if labels.and_then(|labels| labels.get(&key)) != Some(&value) {
            return Err(InvalidSpec::Overlay(format!(
                "the label {key} is how pods are found and cannot change from {value}"
            )));
        }
    }
    Ok(laid)
}

/// Merges objects field by field, lists of things that are known by a key element by element, and
/// replaces everything else. `null` removes.
fn merge(base: &mut Value, overlay: &Value, field: &str) {
    match (base, overlay, key(field)) {
        (Value::Object(base), Value::Object(overlay), _) => {
            for (name, value) in overlay {
                if value.is_null() {
                    base.remove(name);
                } else {
                    merge(
                        base.entry(name.as_str()).or_insert(Value::Null),
                        value,
                        name,
                    );
                }
            }
        }
        (Value::Array(base), Value::Array(overlay), Some(key)) => {
            for element in overlay {
                let same = base
                    .iter_mut()
                    .find(|found| element.get(key).is_some() && found.get(key) == element.get(key));
                match same {
                    Some(found) => merge(found, element, ""),
                    None => base.push(element.clone()),
                }
            }
        }
        (base, overlay, _) => *base = overlay.clone(),
    }
}

fn key(field: &str) -> Option<&'static str> {
    KEYS.iter()
        .find(|(name, _)| *name == field)
        .map(|(_, key)| *key)
}

/// The path of a field of `given` that `kept` lacks.
fn lost(given: &Value, kept: &Value, path: &str) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().find_map(|(name, value)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            match kept.get(name) {
                // What says nothing is left out on the way.
                None if is_empty(value) => None,
                None => Some(path),
                Some(kept) => lost(value, kept, &path),
            }
        }),
        (Value::Array(given), Value::Array(kept)) => given
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(index, (given, kept))| lost(given, kept, &format!("{path}[{index}]"))),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
