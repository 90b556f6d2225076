//! Every alert, with the real `promtool`: it fires on what calls for it, and on nothing else, and clears.
//!
//! `promtool` comes with Prometheus: `apt-get install prometheus`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::{Value, json};

use super::{identity, spec};
use crate::{controller::build::rules, foreign::RuleGroup};

/// An alert, and series of a minute's samples each, in `promtool`'s notation.
struct Story {
    alert: &'static str,
    series: Vec<(String, &'static str)>,
    /// Minutes at which it does not fire yet, or no more.
    quiet: &'static [u32],
    /// Minutes at which it fires, and its summary then.
    firing: &'static [(u32, &'static str)],
}

/// A series of `demo` in `team`, as a ServiceMonitor has it labelled; `more` are its own labels.
fn demo(name: &str, more: &str) -> String {
    labelled(name, "team", "demo", more)
}

fn labelled(name: &str, namespace: &str, service: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!(
        "{name}{{namespace=\"{namespace}\", service=\"{service}\", pod=\"{service}-1\", \
         job=\"{service}\", endpoint=\"http\", instance=\"10.0.0.1:8080\"{comma}{more}}}"
    )
}

fn requests(protocol: &str, route: &str, code: &str) -> String {
    demo(
        "segmenter_requests_total",
        &format!("protocol=\"{protocol}\", route=\"{route}\", code=\"{code}\""),
    )
}

fn bucket(route: &str, le: &str) -> String {
    demo(
        "segmenter_request_duration_seconds_bucket",
        &format!("protocol=\"http\", route=\"{route}\", le=\"{le}\""),
    )
}

fn rejected(reason: &str) -> String {
    demo("segmenter_rejected_total", &format!("reason=\"{reason}\""))
}

#[rustfmt::skip]
fn stories() -> Vec<Story> {
    const GRPC: &str = "/segmenter.v1.Segmenter/Predict";
    const NO_PODS: &str = "No pod of team/demo answers Prometheus";
    vec![
        // Down from the start to minute 10; one of two pods is enough.
        Story {
            alert: "SegmenterDown",
            series: vec![(demo("up", ""), "0x10 1x20"), (demo("up", "replica=\"2\""), "0x30")],
            quiet: &[1, 13, 29],
            firing: &[(3, NO_PODS), (9, NO_PODS)],
        },
        // Pods that wait for a node are no targets; those of others do not count.
        Story {
            alert: "SegmenterDown",
            series: vec![
                (demo("up", ""), "_x10 1x20"),
                (labelled("up", "team", "other", ""), "1x30"),
                (labelled("up", "elsewhere", "demo", ""), "1x30"),
            ],
            quiet: &[1, 13, 29],
            firing: &[(3, NO_PODS), (9, NO_PODS)],
        },
        Story {
            alert: "SegmenterNotReady",
            series: vec![(demo("segmenter_model_ready", ""), "0x20 1x20"), (demo("segmenter_model_ready", "replica=\"2\""), "1x40")],
            quiet: &[9, 22, 40],
            firing: &[(11, "A pod of team/demo has had no model for 10 minutes"), (20, "A pod of team/demo has had no model for 10 minutes")],
        },
        // 10 of 100 fail from minute 0 to 20, and none later.
        Story {
            alert: "SegmenterErrors",
            series: vec![(requests("http", "/predict", "200"), "0+90x60"), (requests("http", "/predict", "500"), "0+10x20 200x40")],
            quiet: &[4, 30, 60],
            firing: &[(15, "10.0 % of the requests of team/demo fail")],
        },
        // gRPC says it in words, and is as much worth.
        Story {
            alert: "SegmenterErrors",
            series: vec![
                (requests("grpc", GRPC, "Ok"), "0+80x60"),
                (requests("grpc", GRPC, "Internal"), "0+5x20 100x40"),
                (requests("grpc", GRPC, "Unavailable"), "0+5x20 100x40"),
                (requests("grpc", GRPC, "DeadlineExceeded"), "0+5x20 100x40"),
                (requests("http", "/v1/predict", "504"), "0+5x20 100x40"),
            ],
            quiet: &[4, 30, 60],
            firing: &[(15, "20.0 % of the requests of team/demo fail")],
        },
        // Probes that do not fail hide no predictions that do.
        Story {
            alert: "SegmenterErrors",
            series: vec![
                (requests("http", "/readyz", "200"), "0+3000x60"),
                (requests("grpc", "/grpc.health.v1.Health/Check", "Ok"), "0+3000x60"),
                (requests("http", "/predict", "200"), "0+3x60"),
                (requests("http", "/predict", "503"), "0+1x20 20x40"),
            ],
            quiet: &[4, 30, 60],
            firing: &[(15, "25.0 % of the requests of team/demo fail")],
        },
        // What is the caller's fault, a picture's host's, or a queue's is something else; so are probes of a
        // pod that is not ready, and services of others.
        Story {
            alert: "SegmenterErrors",
            series: vec![
                (requests("http", "/predict", "200"), "0+10x60"),
                (requests("http", "/predict", "400"), "0+10x60"),
                (requests("http", "/predict", "429"), "0+10x60"),
                (requests("http", "/predict", "502"), "0+10x60"),
                (requests("http", "/predict", "gone"), "0+10x60"),
                (requests("http", "/readyz", "503"), "0+10x60"),
                (requests("grpc", GRPC, "InvalidArgument"), "0+10x60"),
                (requests("grpc", GRPC, "ResourceExhausted"), "0+10x60"),
                (requests("grpc", GRPC, "FailedPrecondition"), "0+10x60"),
                (labelled("segmenter_requests_total", "team", "other", "route=\"/predict\", code=\"500\""), "0+10x60"),
            ],
            quiet: &[10, 30, 60],
            firing: &[],
        },
        // Of 20 a minute all take between 2.5 and 5 s to minute 30, and less than a millisecond later.
        Story {
            alert: "SegmenterSlow",
            series: vec![
                (bucket("/predict", "0.001"), "0x30 0+20x60"),
                (bucket("/predict", "2.5"), "0x30 0+20x60"),
                (bucket("/predict", "5"), "0+20x90"),
                (bucket("/predict", "+Inf"), "0+20x90"),
                // Quick ones that nobody waits for.
                (bucket("/readyz", "0.001"), "0+9000x90"),
                (bucket("/readyz", "+Inf"), "0+9000x90"),
            ],
            quiet: &[9, 40, 80],
            firing: &[(20, "95 % of the requests of team/demo take up to 4.88 s")],
        },
        Story {
            alert: "SegmenterSlow",
            series: vec![(bucket("/predict", "1"), "0+20x60"), (bucket("/predict", "2.5"), "0+20x60"), (bucket("/predict", "+Inf"), "0+20x60")],
            quiet: &[10, 30, 60],
            firing: &[],
        },
        Story {
            alert: "SegmenterSaturated",
            series: vec![(rejected("overloaded"), "0+3x20 60x40"), (rejected("deadline"), "0x60")],
            quiet: &[4, 30, 60],
            firing: &[(15, "team/demo refuses requests because its queue is full")],
        },
        Story {
            alert: "SegmenterSaturated",
            series: vec![(rejected("overloaded"), "7x60"), (rejected("deadline"), "0+3x60"), (rejected("not_ready"), "0+3x60"), (rejected("abandoned"), "0+3x60")],
            quiet: &[10, 30, 60],
            firing: &[],
        },
    ]
}

/// Runs `promtool`; `None`, and a word about it, where there is none.
fn promtool(test: &str, folder: &Path, arguments: &[&str]) -> Option<Result<String, String>> {
    let output = match Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: {test}: promtool: {error} (apt-get install prometheus)");
            return None;
        }
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Some(if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    })
}

/// JSON is YAML, too.
fn write(folder: &Path, name: &str, value: &Value) {
    fs::write(folder.join(name), value.to_string()).unwrap();
}

fn test_of(group: &RuleGroup, story: &Story) -> Value {
    let rule = group
        .rules
        .iter()
        .find(|rule| rule.alert == story.alert)
        .unwrap();
    let quiet = story.quiet.iter().map(|minute| {
        json!({"eval_time": format!("{minute}m"), "alertname": story.alert, "exp_alerts": []})
    });
    let firing = story.firing.iter().map(|(minute, summary)| {
        let annotations =
            json!({"summary": summary, "description": rule.annotations["description"]});
        let labels =
            json!({"severity": rule.labels["severity"], "namespace": "team", "service": "demo"});
        json!({
            "eval_time": format!("{minute}m"),
            "alertname": story.alert,
            "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}],
        })
    });
    let series = story
        .series
        .iter()
        .map(|(series, values)| json!({"series": series, "values": values}));
    json!({
        "interval": "1m",
        "input_series": series.collect::<Vec<_>>(),
        "alert_rule_test": quiet.chain(firing).collect::<Vec<_>>(),
    })
}

fn check(test: &str, spec: &Value, stories: &[Story]) {
    let group = rules(&identity("demo"), &super::spec(spec));
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules.json", &json!({"groups": [&group]}));
    let tests: Vec<_> = stories.iter().map(|story| test_of(&group, story)).collect();
    write(
        folder.path(),
        "tests.json",
        &json!({"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": tests}),
    );
    for arguments in [
        ["check", "rules", "rules.json"],
        ["test", "rules", "tests.json"],
    ] {
        match promtool(test, folder.path(), &arguments) {
            None => return,
            Some(Ok(text)) => println!("{text}"),
            Some(Err(text)) => panic!("promtool {arguments:?}: {text}"),
        }
    }
}

#[test]
fn every_alert_fires_and_clears() {
    let stories = stories();
    let group = rules(&identity("demo"), &spec(&json!({})));
    let all: BTreeSet<_> = group.rules.iter().map(|rule| rule.alert.as_str()).collect();
    let fire = stories
        .iter()
        .filter(|story| !story.firing.is_empty() && !story.quiet.is_empty());
    assert_eq!(
        fire.map(|story| story.alert).collect::<BTreeSet<_>>(),
        all,
        "an alert without a story"
    );
    check("every_alert_fires_and_clears", &json!({}), &stories);
}

/// Whoever wants no pods is not woken because there are none; pods that are there and do not answer are
/// still worth a word.
#[test]
fn no_pods_on_purpose_are_no_alarm() {
    let nothing = || Story {
        alert: "SegmenterDown",
        series: vec![(labelled("up", "team", "other", ""), "1x30")],
        quiet: &[5, 30],
        firing: &[],
    };
    let broken = || Story {
        alert: "SegmenterDown",
        series: vec![(demo("up", ""), "0x30")],
        quiet: &[1],
        firing: &[(5, "No pod of team/demo answers Prometheus")],
    };
    let to_zero = json!({"scaling": {"mode": "KEDA", "minReplicas": 0, "maxReplicas": 2, "keda": {"prometheusAddress": "http://a"}}});
    for spec in [
        json!({"suspend": true}),
        json!({"scaling": {"replicas": 0}}),
        to_zero,
    ] {
        check(
            "no_pods_on_purpose_are_no_alarm",
            &spec,
            &[nothing(), broken()],
        );
    }
}

/// A long interval makes the windows longer: a rate needs two samples.
#[test]
fn rare_scrapes_still_have_rates() {
    let seldom = json!({"observability": {"serviceMonitor": {"intervalSeconds": 600}}});
    // A sample every ten minutes.
    let story = Story {
        alert: "SegmenterSaturated",
        series: vec![(
            rejected("overloaded"),
            "0 _x9 50 _x9 100 _x9 150 _x9 200 _x9 250",
        )],
        quiet: &[5],
        firing: &[(45, "team/demo refuses requests because its queue is full")],
    };
    check("rare_scrapes_still_have_rates", &seldom, &[story]);
}

/// The same alert of two services is told apart by its labels, and where it is routed to depends on them.
#[test]
fn alerts_carry_what_they_are_routed_by() {
    for rule in rules(&identity("demo"), &spec(&json!({}))).rules {
        let labels: BTreeMap<_, _> = rule
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            (labels["namespace"], labels["service"]),
            ("team", "demo"),
            "{}",
            rule.alert
        );
        assert!(
            ["critical", "warning"].contains(&labels["severity"]),
            "{}",
            rule.alert
        );
        assert!(
            rule.expr.contains("namespace=\"team\", service=\"demo\""),
            "{}",
            rule.alert
        );
    }
}
