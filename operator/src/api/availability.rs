use super::crd::rule;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a new version replaces the old one.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Rollout {
    /// Surge starts a new pod before an old one ends. InPlace ends an old one first, for accelerators that
    /// are all in use: with Surge the new pod would wait for one forever.
    pub strategy: RolloutStrategy,
    /// After how many seconds without progress a rollout counts as failed.
    #[schemars(range(min = 10, max = 86400))]
    pub progress_deadline_seconds: i32,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            strategy: RolloutStrategy::Surge,
            progress_deadline_seconds: 600,
        }
    }
}

/// In which order new pods start and old ones end.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RolloutStrategy {
    /// A new pod starts before an old one ends: no capacity is lost.
    #[default]
    Surge,
    /// An old pod ends before a new one starts: nothing more is needed.
    InPlace,
}

/// How the service survives the loss of nodes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Availability {
    /// How many pods may be evicted at a time, by a drained node for one. There is no budget for services
    /// that run a single pod: it would keep nodes from being drained.
    pub disruption_budget: DisruptionBudget,
    /// Whether pods are spread over nodes and zones.
    pub topology_spread: TopologySpread,
}

impl Default for Availability {
    fn default() -> Self {
        Self {
            disruption_budget: DisruptionBudget::default(),
            topology_spread: TopologySpread::Preferred,
        }
    }
}

/// How many pods may be evicted at a time.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule("!(has(self.minAvailable) && has(self.maxUnavailable))", "availability.disruptionBudget has minAvailable or maxUnavailable, not both: remove one")]))]
pub struct DisruptionBudget {
    /// Whether there is one.
    pub enabled: bool,
    /// The most that may be missing, as a number or in percent. By default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [count("maxUnavailable")]))]
    pub max_unavailable: Option<IntOrString>,
    /// The fewest that have to be there, as a number or in percent. By default maxUnavailable counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [count("minAvailable")]))]
    pub min_available: Option<IntOrString>,
}

/// The rule of a number of pods. Strings are told from numbers by what is equal to its own text: kube's CEL
/// has no `type()`.
fn count(field: &str) -> Value {
    rule(
        "string(self).matches(self == string(self) ? '^(100|[0-9]{1,2})%$' : '^[0-9]+$')",
        &format!(
            "availability.disruptionBudget.{field} is a number of pods, such as 1, or a share of them, such \
             as 25%"
        ),
    )
}

impl Default for DisruptionBudget {
    fn default() -> Self {
        Self {
            enabled: true,
            max_unavailable: None,
            min_available: None,
        }
    }
}

/// Whether pods are spread over nodes and zones.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopologySpread {
    /// As far as there is room.
    #[default]
    Preferred,
    /// A pod that cannot be spread waits.
    Required,
    /// As the scheduler likes.
    None,
}
