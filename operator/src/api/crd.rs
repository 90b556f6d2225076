use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, ValidationRule,
};
use kube::{
    CustomResourceExt,
    core::cel::{ValidationErrors, Validator},
};
use serde_json::{Value, json};

use super::SegmenterService;

/// The CustomResourceDefinition, as it is installed.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = with_flowing_text(SegmenterService::crd());
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            // Three lines are a service: a spec that is left out is an empty one.
            schema.required = None;
            let properties = schema.properties.iter_mut();
            if let Some(spec) = properties.flat_map(|fields| fields.get_mut("spec")).next() {
                spec.default = Some(JSON(json!({})));
            }
            schema.x_kubernetes_validations = Some(vec![ValidationRule {
                rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')".to_owned(),
                message: Some(
                    "metadata.name becomes the name of a Service: at most 40 characters of a-z, 0-9 and -, \
                     a letter first"
                        .to_owned(),
                ),
                ..ValidationRule::default()
            }]);
        }
    }
    crd
}

/// Descriptions without the line breaks of their doc comments: whoever prints them breaks them anew.
fn with_flowing_text(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    fn flow(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if name == "description" => {
                            let paragraphs = text.split("\n\n");
                            let flowing: Vec<_> = paragraphs
                                .map(|paragraph| paragraph.replace('\n', " "))
                                .collect();
                            *text = flowing.join("\n\n");
                        }
                        _ => flow(value),
                    }
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(flow),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(&crd) else {
        return crd;
    };
    flow(&mut value);
    serde_json::from_value(value).unwrap_or(crd)
}

/// Evaluates the CRD's rules on a service, as the API server does after it has filled in the defaults.
pub fn validate(service: &SegmenterService) -> Result<(), ValidationErrors> {
    // Neither a CRD nor a service holds anything that JSON cannot.
    let schema = serde_json::to_value(crd().spec.versions.first().and_then(|version| {
        let schema = version.schema.as_ref()?;
        schema.open_api_v3_schema.clone()
    }));
    let service = serde_json::to_value(service);
    Validator::new().validate(
        &schema.unwrap_or_default(),
        &service.unwrap_or_default(),
        None,
    )
}

/// A CEL rule of the API server, and what it says where it is broken.
pub(super) fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}
