use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// Whether it answers.
    Ready,
    /// Whether the spec can be carried out.
    Accepted,
    /// Whether the model's weights are there and are the right ones.
    ModelReady,
    /// Whether all pods answer.
    WorkloadReady,
    /// Whether somebody sees to the number of pods.
    ScalingReady,
    /// Whether callers find it.
    Routed,
    /// Whether Prometheus finds it.
    Monitored,
    /// Whether pods are being replaced.
    Progressing,
    /// Whether something that was asked for does not work.
    Degraded,
}

impl Type {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Accepted => "Accepted",
            Self::ModelReady => "ModelReady",
            Self::WorkloadReady => "WorkloadReady",
            Self::ScalingReady => "ScalingReady",
            Self::Routed => "Routed",
            Self::Monitored => "Monitored",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
        }
    }
}

/// Whether something holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// In a word.
    pub reason: String,
    /// In words.
    pub message: String,
}

impl Finding {
    /// It holds.
    pub fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self::new("True", reason, message)
    }

    /// It does not.
    pub fn no(reason: &str, message: impl Into<String>) -> Self {
        Self::new("False", reason, message)
    }

    /// It cannot be told yet.
    pub fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self::new("Unknown", reason, message)
    }

    fn new(status: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.status == "True"
    }

    /// Whether it is known not to hold.
    pub fn fails(&self) -> bool {
        self.status == "False"
    }

    /// As a condition about the spec of this generation. The time of transition moves when the status
    /// changes and not when the reason does.
    pub fn condition(
        self,
        kind: Type,
        generation: Option<i64>,
        earlier: &[Condition],
        now: Timestamp,
    ) -> Condition {
        let since = earlier
            .iter()
            .find(|condition| condition.type_ == kind.name() && condition.status == self.status)
            .map_or(Time(now), |condition| {
                condition.last_transition_time.clone()
            });
        Condition {
            type_: kind.name().to_owned(),
            status: self.status.to_owned(),
            reason: self.reason,
            message: shortened(self.message),
            observed_generation: generation,
            last_transition_time: since,
        }
    }
}

/// Longer messages are refused by the API server: a condition's may have 32768 bytes.
const LONGEST: usize = 2048;

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&at| message.is_char_boundary(at));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_transition_moves_with_the_status_alone() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = Finding::no("Starting", "").condition(Type::Ready, Some(1), &[], at(1));
        let earlier = [first];
        let same = Finding::no("CrashLoop", "x").condition(Type::Ready, Some(2), &earlier, at(2));
        assert_eq!(same.last_transition_time, Time(at(1)));
        assert_eq!(same.observed_generation, Some(2));
        let changed =
            Finding::yes("Available", "").condition(Type::Ready, Some(2), &earlier, at(3));
        assert_eq!(changed.last_transition_time, Time(at(3)));
    }

    #[test]
    fn long_messages_end_at_a_character() {
        let long = shortened("ä".repeat(LONGEST));
        assert!(long.len() <= LONGEST + '…'.len_utf8());
        assert!(long.ends_with("ä…"));
    }
}
