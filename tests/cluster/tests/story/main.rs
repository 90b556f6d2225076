//! The whole story of those who install the operator, on a cluster with a node: what they apply, call, watch, scale
//! and roll out.

mod autoscaling;
mod install;
mod life;
mod load;
mod monitoring;
mod rollout;
mod scene;
mod security;
mod suspension;
mod world;

use std::process::ExitCode;

use segmenter_cluster::{Entered, SandboxError, Suite, enter};
use world::{Materials, World};

type Result<T = ()> = anyhow::Result<T>;

/// A suite with these stories, each under its own name; the second list is of those that need the processors for
/// themselves.
macro_rules! suite {
    (shared: [$($room:ident::$test:ident),* $(,)?], alone: [$($own:ident::$story:ident),* $(,)?]) => {
        Suite::<World>::new()
            $(.test(concat!(stringify!($room), "::", stringify!($test)), async |world| $room::$test(&world).await))*
            $(.alone(concat!(stringify!($own), "::", stringify!($story)), async |world| $own::$story(&world).await))*
    };
}

fn suite() -> Suite<World> {
    suite!(
        shared: [
            monitoring::an_alert_fires_and_clears,
            install::the_three_line_example_answers,
            install::callers_from_outside_come_in_by_ingress_and_gateway,
            install::weights_are_checked,
            monitoring::prometheus_counts_what_was_asked,
            security::pods_are_restricted,
            suspension::a_suspended_service_wakes_up,
            life::what_people_see_is_what_the_documentation_shows,
        ],
        alone: [
            autoscaling::pods_follow_the_load,
            rollout::another_image_takes_over,
            rollout::a_pod_is_deleted,
            rollout::pods_are_evicted,
            rollout::the_process_is_killed,
            rollout::the_operator_restarts,
            rollout::the_api_server_is_away,
        ]
    )
}

fn main() -> ExitCode {
    if let Some(given) = Materials::given() {
        return tell(given);
    }
    let entered = match enter() {
        Ok(entered) => entered,
        Err(SandboxError::Missing(missing)) => return suite().skip(&missing.to_string()),
        Err(error) => {
            eprintln!("error: {:#}", anyhow::Error::new(error));
            return ExitCode::FAILURE;
        }
    };
    match entered {
        Entered::Outside(code) => code,
        Entered::Inside(sandbox) => tell(Materials::own(sandbox)),
    }
}

fn tell(materials: Result<Materials>) -> ExitCode {
    match materials {
        Ok(materials) => suite().run(materials),
        Err(missing) => suite().skip(&format!("{missing:#}")),
    }
}
