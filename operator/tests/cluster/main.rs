//! The operator against a real API server, its controllers and their store.

mod convergence;
mod scaling;
mod support;

use std::process::ExitCode;

use segmenter_cluster::{Crds, Options, Suite};

/// A suite with these tests, each under its own name.
macro_rules! suite {
    ($options:expr, $($room:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        Suite::new($options)
            $($(.test(concat!(stringify!($room), "::", stringify!($test)), $room::$test))*)*
    };
}

fn main() -> ExitCode {
    let crd = serde_json::to_string(&segmenter_operator::api::crd()).expect("the CRD is JSON");
    let options = Options {
        crds: vec![Crds::Manifest(crd)],
        ..Options::default()
    };
    suite!(
        options,
        convergence: [
            three_lines_are_a_service,
            what_has_converged_is_left_alone,
            a_restart_changes_nothing,
            a_new_operator_restarts_no_pods,
            what_is_edited_is_put_right,
            what_is_deleted_comes_back,
            what_is_no_longer_asked_for_goes,
            deletion_leaves_nothing_behind,
            an_object_of_somebody_else_is_not_taken,
            paused_services_are_only_watched,
            a_bad_overlay_changes_nothing_and_says_so,
        ],
        scaling: [
            kubectl_scale_scales,
            an_autoscaler_is_not_fought,
            switching_modes_never_dips,
            suspended_services_have_no_pods_and_wake_again,
        ],
    )
    .run()
}
