//! What the API server answered to whom.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use crate::error::Error;

/// Everything but probes, without bodies, once it is answered.
pub(crate) const POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"}
    ]
}"#;

/// A place in the audit log, of which one can ask what came after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPosition(u64);

impl AuditPosition {
    /// Before the first event.
    pub const START: Self = Self(0);
}

/// A request that the API server has answered. Fields that do not apply are empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
#[non_exhaustive]
pub struct AuditEvent {
    /// Who asked; the user of the credentials, also where another was impersonated.
    pub user: String,
    /// The program that asked, by its own word.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or for what is
    /// no resource the HTTP method in lower case.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural name, such as `deployments`.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    /// The namespace of the object.
    pub namespace: String,
    /// The object's name; empty for a creation with `generateName`, and for one that was refused before
    /// its body was read.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// The path and query that were asked for.
    pub uri: String,
    /// Whether authorization let it through.
    pub allowed: bool,
    /// Why, such as `RBAC: allowed by ClusterRoleBinding "cluster-admin" ...`.
    pub reason: String,
}

impl AuditEvent {
    /// Whether something was to be written: also where that was refused or changed nothing.
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }
}

/// An event as the log has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision")]
    decision: String,
    #[serde(rename = "authorization.k8s.io/reason")]
    reason: String,
}

impl From<Raw> for AuditEvent {
    fn from(raw: Raw) -> Self {
        let object = raw.object_ref;
        Self {
            user: raw.user.username,
            user_agent: raw.user_agent,
            verb: raw.verb,
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            code: raw.response_status.code,
            uri: raw.request_uri,
            allowed: raw.annotations.decision == "allow",
            reason: raw.annotations.reason,
        }
    }
}

/// The stage of an event, which is all that is read of most.
#[derive(Deserialize)]
struct Stage {
    stage: String,
}

/// The events from `position` on, and where they end. Only requests that were answered whole: a watch
/// is there once it has ended.
pub(crate) fn read(
    path: &Path,
    position: AuditPosition,
) -> Result<(Vec<AuditEvent>, AuditPosition), Error> {
    let failed = || Error::file("read", path);
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        // It comes with the first event.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), position)),
        Err(error) => return Err(failed()(error)),
    };
    file.seek(SeekFrom::Start(position.0)).map_err(failed())?;
    let mut events = Vec::new();
    let mut end = position.0;
    let mut line = String::new();
    loop {
        line.clear();
        let length = file.read_line(&mut line).map_err(failed())?;
        // What has no end yet is still being written.
        if !line.ends_with('\n') {
            return Ok((events, AuditPosition(end)));
        }
        end += length as u64;
        let unreadable = |source| Error::Audit {
            line: line.trim_end().to_owned(),
            source,
        };
        let Stage { stage } = serde_json::from_str(&line).map_err(unreadable)?;
        if stage == "ResponseComplete" {
            events.push(serde_json::from_str(&line).map_err(unreadable)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    const REFUSED: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/default/deployments/web/status?fieldManager=x","verb":"patch","user":{"username":"alice","groups":["system:authenticated"]},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl/v1.36.3","objectRef":{"resource":"deployments","namespace":"default","name":"web","apiGroup":"apps","apiVersion":"v1","subresource":"status"},"responseStatus":{"metadata":{},"status":"Failure","code":403},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}"#;
    const WATCH_BEGINS: &str = r#"{"stage":"ResponseStarted","requestURI":"/api/v1/pods?watch=1","verb":"watch","user":{"username":"bob"}}"#;
    const VERSION: &str = r#"{"stage":"ResponseComplete","requestURI":"/version","verb":"get","user":{"username":"bob"},"responseStatus":{"code":200},"annotations":{"authorization.k8s.io/decision":"allow"}}"#;

    #[test]
    fn whole_answers_are_read_and_only_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        assert_eq!(
            read(&path, AuditPosition::START).unwrap(),
            (Vec::new(), AuditPosition::START)
        );

        let half = &VERSION[..40];
        fs::write(&path, format!("{REFUSED}\n{WATCH_BEGINS}\n{half}")).unwrap();
        let (events, position) = read(&path, AuditPosition::START).unwrap();
        let [event] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(
            (event.user.as_str(), event.verb.as_str(), event.code),
            ("alice", "patch", 403)
        );
        assert_eq!(
            [
                &event.group,
                &event.resource,
                &event.subresource,
                &event.namespace,
                &event.name
            ],
            ["apps", "deployments", "status", "default", "web"]
        );
        assert!(event.is_write() && !event.allowed);

        let mut file = File::options().append(true).open(&path).unwrap();
        writeln!(file, "{}", &VERSION[40..]).unwrap();
        let (events, _) = read(&path, position).unwrap();
        let [event] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(
            (event.user.as_str(), event.uri.as_str()),
            ("bob", "/version")
        );
        assert!(!event.is_write() && event.allowed);
    }

    #[test]
    fn a_line_that_is_no_event_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "nonsense\n").unwrap();
        let error = read(&path, AuditPosition::START).unwrap_err();
        assert!(error.to_string().ends_with("no event: nonsense"), "{error}");
    }
}
