use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, ValidationRule,
};
use kube::{
    CustomResourceExt,
    core::cel::{ValidationErrors, Validator},
};
use serde_json::{Value, json};

use super::SegmenterService;

/// The CustomResourceDefinition, as it is installed.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = tidied(SegmenterService::crd());
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            // Three lines are a service: a spec that is left out is an empty one.
            schema.required = None;
            let properties = schema.properties.iter_mut();
            if let Some(spec) = properties.flat_map(|fields| fields.get_mut("spec")).next() {
                spec.default = Some(JSON(json!({})));
            }
            // The only part of it that a CRD may describe; what a rule points at has to be described.
            schema
                .properties
                .get_or_insert_default()
                .insert("metadata".to_owned(), object([("name", of_type("string"))]));
            schema.x_kubernetes_validations = Some(vec![ValidationRule {
                rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')".to_owned(),
                message: Some(
                    "metadata.name becomes the name of a Service: at most 40 characters of a-z, 0-9 and -, \
                     a letter first and no - at the end"
                        .to_owned(),
                ),
                // Without it `kubectl` names the place `<nil>`.
                field_path: Some(".metadata.name".to_owned()),
                ..ValidationRule::default()
            }]);
        }
    }
    crd
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some(name.to_owned()),
        ..JSONSchemaProps::default()
    }
}

fn object<const N: usize>(properties: [(&str, JSONSchemaProps); N]) -> JSONSchemaProps {
    let properties = properties.map(|(name, schema)| (name.to_owned(), schema));
    JSONSchemaProps {
        properties: Some(properties.into()),
        ..of_type("object")
    }
}

/// Descriptions without the line breaks of their doc comments, for whoever prints them breaks them anew;
/// and nothing may be `null`, which the API server then takes for "not given". Otherwise it would keep the
/// `null`, and rules that ask `has(self.field)` would go on to compare it.
fn tidied(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    fn tidy(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if fields.get("nullable") == Some(&Value::Bool(true)) {
                    fields.remove("nullable");
                }
                for (name, value) in fields {
                    match value {
                        Value::String(text) if name == "description" => {
                            let paragraphs = text.split("\n\n");
                            let flowing: Vec<_> = paragraphs
                                .map(|paragraph| paragraph.replace('\n', " "))
                                .collect();
                            *text = flowing.join("\n\n");
                        }
                        _ => tidy(value),
                    }
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(tidy),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(&crd) else {
        return crd;
    };
    tidy(&mut value);
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

/// The same, said of a field such as `.replicas` of the object that it is a rule of.
pub(super) fn rule_on(field: &str, fault: Fault, rule: &str, message: &str) -> Value {
    let reason = match fault {
        Fault::Invalid => "FieldValueInvalid",
        Fault::Forbidden => "FieldValueForbidden",
        Fault::Required => "FieldValueRequired",
    };
    json!({ "rule": rule, "message": message, "fieldPath": field, "reason": reason })
}

/// What is wrong with a field; `kubectl` prints it before the message.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// It has a value that it may not have.
    Invalid,
    /// It is there and may not be.
    Forbidden,
    /// It is not there and has to be.
    Required,
}
