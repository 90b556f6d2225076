//! What keeps pods from answering, out of what the kubelet and the scheduler say of them.

use k8s_openapi::{
    api::core::v1::{ContainerStatus, Pod},
    jiff::Timestamp,
};
use kube::ResourceExt;

use crate::api::Failure;

/// What the function ends with when weights are not the ones that they have to be (`EX_DATAERR`).
pub const WRONG_DIGEST: i32 = 65;

/// What the container's states are called where it will not start by itself.
const HOPELESS: [&str; 8] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ContainerCannotRun",
];

/// What keeps the newest of these pods that is kept from answering, if anything does.
pub fn failure<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<Failure> {
    let mut pods: Vec<_> = pods
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect();
    // The newest are of the newest version; by name, so that the answer does not waver.
    pods.sort_by_key(|pod| {
        let created = pod
            .creation_timestamp()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        (std::cmp::Reverse(created), pod.name_any())
    });
    pods.into_iter().find_map(failure_of)
}

fn failure_of(pod: &Pod) -> Option<Failure> {
    let status = pod.status.as_ref()?;
    let failure = |container: Option<&str>, reason: &str, exit_code, message: &str| Failure {
        pod: pod.name_any(),
        container: container.map(str::to_owned),
        reason: reason.to_owned(),
        exit_code,
        message: message.trim().to_owned(),
    };
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        let message = condition.message.as_deref().unwrap_or_default();
        return Some(failure(None, "Unschedulable", None, message));
    }
    let init = status.init_container_statuses.iter().flatten();
    let containers = init.chain(status.container_statuses.iter().flatten());
    if let Some(found) = containers.clone().find_map(|container| {
        let (reason, exit_code, message) = trouble(container)?;
        Some(failure(Some(&container.name), &reason, exit_code, &message))
    }) {
        return Some(found);
    }
    // Evicted, for one.
    (status.phase.as_deref() == Some("Failed")).then(|| {
        let reason = status.reason.as_deref().unwrap_or("PodFailed");
        failure(
            None,
            reason,
            None,
            status.message.as_deref().unwrap_or_default(),
        )
    })
}

/// Why a container does not run: in a word, its exit code, in words.
fn trouble(container: &ContainerStatus) -> Option<(String, Option<i32>, String)> {
    let state = container.state.as_ref();
    let ended = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
        let ended = state?.terminated.clone()?;
        (ended.exit_code != 0).then_some(ended)
    };
    let now = ended(state);
    let waiting = state.and_then(|state| state.waiting.as_ref());
    if let Some(waiting) = waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if HOPELESS.contains(&reason) {
            let message = waiting.message.clone().unwrap_or_default();
            // The kubelet goes from one to the other and back.
            let reason = match reason {
                "ErrImagePull" => "ImagePullBackOff",
                _ => reason,
            };
            return Some((reason.to_owned(), None, message));
        }
    }
    // What ended just now, or what ended before and was started again: until it is ready, that may be in vain, too.
    let ended = now.or_else(|| {
        let again = container.restart_count > 0 && !container.ready;
        again
            .then(|| ended(container.last_state.as_ref()))
            .flatten()
    })?;
    let reason = match (ended.exit_code, ended.reason.as_deref()) {
        (WRONG_DIGEST, _) => "DigestMismatch",
        (_, Some("OOMKilled")) => "OutOfMemory",
        _ => "CrashLoop",
    };
    let message = match (ended.message.as_deref(), reason) {
        (Some(log), _) => last_words(log).to_owned(),
        (None, "OutOfMemory") => {
            "the container needs more memory than resources.limits.memory".to_owned()
        }
        (None, _) => format!("it ended with exit code {}", ended.exit_code),
    };
    Some((reason.to_owned(), Some(ended.exit_code), message))
}

/// What the function ends with, out of the end of its log: what it says last is why. Of another program, all.
fn last_words(log: &str) -> &str {
    const ERROR: &str = "error: ";
    match log.rsplit_once(&format!("\n{ERROR}")) {
        Some((_, error)) => error,
        None => log.strip_prefix(ERROR).unwrap_or(log),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, created: &str, status: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": created},
            "status": status,
        }))
        .unwrap()
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!({"containerStatuses": [{
            "name": "segmenter", "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "state": state, "lastState": last,
        }]})
    }

    #[test]
    fn the_last_words_are_the_error() {
        for (log, words) in [
            (
                "pulling: 1 of 2\npulling: 2 of 2\nerror: no space\nleft\n",
                "no space\nleft\n",
            ),
            ("error: no space", "no space"),
            (
                "thread panicked\nnote: error: 1",
                "thread panicked\nnote: error: 1",
            ),
            ("", ""),
        ] {
            assert_eq!(last_words(log), words);
        }
    }

    #[test]
    fn every_way_to_fail_has_its_reason() {
        let ended = |code: i32, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason, "message": "why\n"}});
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "why"}});
        let none = json!({});
        for (status, reason, exit_code) in [
            (
                container(&waiting("ImagePullBackOff"), &none),
                "ImagePullBackOff",
                None,
            ),
            (
                container(&waiting("ErrImagePull"), &none),
                "ImagePullBackOff",
                None,
            ),
            (
                container(&json!({"running": {}}), &ended(1, "Error")),
                "CrashLoop",
                Some(1),
            ),
            (
                container(&waiting("CreateContainerConfigError"), &none),
                "CreateContainerConfigError",
                None,
            ),
            (
                container(&waiting("CrashLoopBackOff"), &ended(1, "Error")),
                "CrashLoop",
                Some(1),
            ),
            (
                container(&waiting("CrashLoopBackOff"), &ended(65, "Error")),
                "DigestMismatch",
                Some(65),
            ),
            (
                container(&ended(137, "OOMKilled"), &none),
                "OutOfMemory",
                Some(137),
            ),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "why"}]}),
                "Unschedulable",
                None,
            ),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "why"}),
                "Evicted",
                None,
            ),
        ] {
            let pod = pod("a", "2026-01-01T00:00:00Z", &status);
            let found = failure([&pod]).unwrap();
            assert_eq!(
                (found.reason.as_str(), found.exit_code),
                (reason, exit_code)
            );
            assert_eq!(found.message, "why");
        }
    }

    #[test]
    fn pods_that_run_start_or_end_are_no_failures() {
        let none = json!({});
        let mut recovered = container(
            &json!({"running": {}}),
            &json!({"terminated": {"exitCode": 1}}),
        );
        recovered["containerStatuses"][0]["ready"] = json!(true);
        for status in [
            recovered,
            container(&json!({"running": {}}), &none),
            container(&json!({"waiting": {"reason": "ContainerCreating"}}), &none),
            container(&json!({"terminated": {"exitCode": 0}}), &none),
            json!({"phase": "Pending"}),
        ] {
            let pod = pod("a", "2026-01-01T00:00:00Z", &status);
            assert_eq!(failure([&pod]), None, "{status}");
        }
    }

    #[test]
    fn the_newest_pod_counts() {
        let crash = |code: i32| container(&json!({"terminated": {"exitCode": code}}), &json!({}));
        let old = pod("z", "2026-01-01T00:00:00Z", &crash(1));
        let new = pod("a", "2026-01-02T00:00:00Z", &crash(2));
        assert_eq!(failure([&old, &new]).unwrap().pod, "a");
    }
}
