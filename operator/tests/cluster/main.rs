//! The operator against a real API server, its controllers and their store.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod chart;
mod convergence;
mod examples;
mod faults;
mod privileges;
mod process;
mod rules;
mod runtime;
mod scaling;
mod seen;
mod status;
mod support;

use std::process::ExitCode;

use segmenter_cluster::{ControlPlane, Crds, Options, Suite};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// A suite with these tests, each under its own name.
macro_rules! suite {
    ($($room:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        Suite::<ControlPlane>::new()
            $($(.test(concat!(stringify!($room), "::", stringify!($test)), $room::$test))*)*
    };
}

fn main() -> ExitCode {
    // What the operators of the tests log is shown with RUST_LOG=info.
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::OFF.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let crd = serde_json::to_string(&segmenter_operator::api::crd()).expect("the CRD is JSON");
    let options = Options {
        crds: vec![Crds::Manifest(crd)],
        ..Options::default()
    };
    let suite = suite!(
        chart: [
            values_are_checked,
            what_is_rendered_is_accepted,
            what_is_made_from_the_charts_is_current,
            view_and_edit_extend_to_services,
        ],
        examples: [each_is_accepted_and_carried_out],
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
        rules: [
            both_engines_agree_on_every_rule,
            both_sides_fill_in_the_same_defaults,
            kubectl_applies_the_crd,
            variables_of_two_people_do_not_overwrite_each_other,
        ],
        seen: [what_people_see_is_what_the_readme_shows],
        scaling: [
            kubectl_scale_scales,
            an_autoscaler_is_not_fought,
            switching_modes_never_dips,
            suspended_services_have_no_pods_and_wake_again,
        ],
        status: [
            a_service_is_ready_when_its_pods_are,
            what_keeps_a_pod_from_starting_is_lifted_up,
            a_rollout_that_waits_for_an_old_pods_gpu_says_so,
            transitions_have_their_times,
        ],
        faults: [
            a_list_that_does_not_come_holds_up_no_stop,
            every_fault_at_every_request_is_got_over,
        ],
        runtime: [
            one_replica_leads_and_another_takes_over,
            a_leader_that_loses_the_lease_ends,
            told_to_stop_it_waits_for_no_api_server,
            told_to_stop_it_waits_for_neither_the_lease_nor_a_caller,
            it_tells_how_it_is,
            traces_reach_a_collector,
        ],
    )
    .alone(
        "faults::an_outage_of_the_api_server_is_got_over",
        faults::an_outage_of_the_api_server_is_got_over,
    )
    .alone(
        "runtime::five_hundred_services_converge_and_rest",
        runtime::five_hundred_services_converge_and_rest,
    )
    // Each with a control plane of its own.
    .alone("chart::one_apply_installs_it", chart::one_apply_installs_it)
    .alone(
        "status::a_service_that_cannot_be_read_says_so",
        status::a_service_that_cannot_be_read_says_so,
    )
    .alone(
        "privileges::of_the_whole_cluster",
        privileges::of_the_whole_cluster,
    )
    .alone(
        "privileges::of_named_namespaces",
        privileges::of_named_namespaces,
    );
    suite.run(options)
}
