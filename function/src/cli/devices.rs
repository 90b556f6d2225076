//! `segmenter devices`: what networks can run on.

use clap::{Args, builder::FalseyValueParser};
use segmenter_models::Isa;
use serde::Serialize;

use super::{pull::size, table::table};
use crate::gpus;

/// How to list the devices.
#[derive(Args, Clone, Debug)]
pub(super) struct DevicesArgs {
    /// Print JSON
    #[arg(long, env = "SEGMENTER_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

/// Prints the devices, and which one `--device auto` takes.
pub(super) fn run(args: &DevicesArgs) -> anyhow::Result<()> {
    let (rows, reason) = rows();
    let text = if args.json {
        serde_json::to_string_pretty(&rows)? + "\n"
    } else {
        format!("{}\n{reason}\n", lines(&rows))
    };
    super::print(&text)
}

/// One device, as it is listed.
#[derive(Serialize)]
struct Row {
    /// As `--device` takes it.
    device: String,
    /// Of a GPU: discrete, integrated, virtual, unknown, or software, which is none.
    kind: String,
    name: String,
    /// Bytes of a GPU's.
    memory: Option<u64>,
    driver: Option<String>,
    /// What networks can calculate with there, as `--precision` takes it.
    precisions: Vec<&'static str>,
    /// Whether `--device auto` takes it.
    auto: bool,
}

/// All there are, and why auto takes the one that it takes.
fn rows() -> (Vec<Row>, String) {
    let processor = |auto| Row {
        device: "cpu".to_owned(),
        kind: "processor".to_owned(),
        name: Isa::best().to_string(),
        memory: None,
        driver: None,
        precisions: vec!["f32", "int8"],
        auto,
    };
    #[cfg(not(feature = "gpu"))]
    {
        (
            vec![processor(true)],
            format!("auto takes cpu: {}.", gpus::UNSUPPORTED),
        )
    }
    #[cfg(feature = "gpu")]
    {
        let adapters = gpus::adapters();
        let chosen = gpus::choose(&adapters);
        let reason = match chosen {
            Some(number) => format!("auto takes gpu:{number}, the first that is a GPU."),
            None => format!("auto takes cpu: {}.", gpus::why_none(&adapters)),
        };
        let mut rows = vec![processor(chosen.is_none())];
        rows.extend(
            adapters
                .into_iter()
                .enumerate()
                .map(|(number, adapter)| Row {
                    device: format!("gpu:{number}"),
                    kind: adapter.kind.to_string(),
                    name: adapter.name,
                    memory: adapter.memory,
                    driver: Some(format!("{}, {}", adapter.interface, adapter.driver)),
                    precisions: match adapter.halves {
                        true => vec!["f32", "f16"],
                        false => vec!["f32"],
                    },
                    auto: chosen == Some(number),
                }),
        );
        (rows, reason)
    }
}

fn lines(rows: &[Row]) -> String {
    let head = ["DEVICE", "KIND", "NAME", "MEMORY", "PRECISIONS", "DRIVER"].map(str::to_owned);
    let none = || "-".to_owned();
    let rows = rows.iter().map(|row| {
        [
            row.device.clone(),
            row.kind.clone(),
            row.name.clone(),
            row.memory.map_or_else(none, size),
            row.precisions.join(", "),
            row.driver.clone().unwrap_or_else(none),
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there_and_one_device_is_taken() {
        let (rows, reason) = rows();
        assert_eq!(rows[0].device, "cpu");
        let taken: Vec<_> = rows.iter().filter(|row| row.auto).collect();
        assert_eq!(taken.len(), 1);
        assert!(taken[0].kind != "software");
        assert!(reason.contains(&format!("auto takes {}", taken[0].device)));
        assert_eq!(lines(&rows).lines().count(), 1 + rows.len());
    }
}
