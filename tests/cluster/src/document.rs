//! Documents that show what commands print: they are run, and what they print is compared.

use std::{env, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, ensure};

/// Writes what is printed now into the document where it is set to anything.
const UPDATE: &str = "UPDATE_DOCS";

const BEGIN: &str = "```console\n";
const END: &str = "```\n";

/// Runs the commands in the blocks of a Markdown document that are marked `console`, each in a line that begins with
/// `$ `, and compares what `run` says that they print with the lines after it. Answers how many there were.
///
/// # Errors
/// Where the document shows anything else, where it cannot be read, and where `run` fails.
pub async fn compare(
    document: &Path,
    mut run: impl AsyncFnMut(&str) -> anyhow::Result<String>,
) -> anyhow::Result<usize> {
    let name = document.display();
    let text = fs::read_to_string(document).with_context(|| format!("cannot read {name}"))?;
    let mut answered = String::new();
    let mut rest = text.as_str();
    let mut commands = 0;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (block, after) = after
            .split_once(END)
            .with_context(|| format!("{name} has a block without an end"))?;
        answered.extend([before, BEGIN]);
        for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let printed = run(command).await?;
            let _ = write!(answered, "$ {command}\n{}", lasting(&printed));
            commands += 1;
        }
        answered.push_str(END);
        rest = after;
    }
    answered.push_str(rest);
    if env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
        fs::write(document, &answered).with_context(|| format!("cannot write {name}"))?;
        return Ok(commands);
    }
    for (shown, printed) in text.lines().zip(answered.lines()) {
        ensure!(
            shown == printed,
            "{name} shows\n{shown}\nbut now it is\n{printed}\n{UPDATE}=1 writes it anew"
        );
    }
    ensure!(
        text.lines().count() == answered.lines().count(),
        "{name} shows more or less than is printed now; {UPDATE}=1 writes it anew:\n{answered}"
    );
    Ok(commands)
}

/// Without what differs from one cluster and minute to the next.
fn lasting(text: &str) -> String {
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !is_log(line))
        .map(lasting_line)
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

fn lasting_line(line: &str) -> String {
    let line = line.trim_end();
    let key = line.trim_start().split(':').next().unwrap_or_default();
    let begin = line.len() - line.trim_start().len();
    let fixed = match key {
        "UID" => Some("7f1c2b7e-9e1f-4a43-9d0c-0d7f6f6f0a11"),
        "Resource Version" => Some("1234"),
        "Creation Timestamp" | "Last Transition Time" => Some("2026-01-01T00:00:00Z"),
        "Pod Template" => Some("0123456789abcdef"),
        _ => None,
    };
    if let Some(fixed) = fixed {
        let value = line[begin + key.len() + 1..].trim_start();
        let padding = line.len() - value.len();
        return format!("{}{fixed}", &line[..padding]);
    }
    let words = line.split(' ').map(|word| {
        if is_age(word) {
            // It has room for three letters, as many as its title has.
            return format!("{:width$}", "1m", width = word.len());
        }
        let name = word.trim_end_matches([':', ',', ';']);
        match pod_of(name) {
            Some(deployment) => format!("{deployment}-0123456789-abcde{}", &word[name.len()..]),
            None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

/// What kubectl logs for information beside its answer, such as that it ended a watch while an event was on its way:
/// `I1128 14:56:15.766412    3428 reflector.go:664] …`.
fn is_log(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_like = |word: Option<&str>, pattern: &str| {
        word.is_some_and(|word| {
            word.len() == pattern.len()
                && word
                    .bytes()
                    .zip(pattern.bytes())
                    .all(|(byte, kind)| match kind {
                        b'0' => byte.is_ascii_digit(),
                        _ => byte == kind,
                    })
        })
    };
    is_like(words.next(), "I0000") && is_like(words.next(), "00:00:00.000000")
}

/// Such as `12s` or `1m30s`.
fn is_age(word: &str) -> bool {
    let seconds = word.strip_suffix('s').unwrap_or(word);
    let (minutes, seconds) = match seconds.split_once('m') {
        Some((minutes, seconds)) => (Some(minutes), seconds),
        None => (None, seconds),
    };
    let is_number = |part: &str| part.parse::<u32>().is_ok();
    match minutes {
        Some(minutes) => is_number(minutes) && (seconds.is_empty() || is_number(seconds)),
        None => word.ends_with('s') && is_number(seconds),
    }
}

/// The Deployment of a pod, if this is a pod's name.
fn pod_of(word: &str) -> Option<&str> {
    let (set, pod) = word.rsplit_once('-')?;
    let (deployment, template) = set.rsplit_once('-')?;
    let is_random = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        let mut letters = part.bytes();
        lengths.contains(&part.len())
            && letters.all(|letter| letter.is_ascii_digit() || letter.is_ascii_lowercase())
    };
    (is_random(template, 8..=10)
        && template.contains(|letter: char| letter.is_ascii_digit())
        && is_random(pod, 5..=5))
    .then_some(deployment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_one_minute_to_the_next_is_made_the_same() {
        for (printed, lasting) in [
            ("demo   1/1   8s    x", "demo   1/1   1m    x"),
            ("demo   1/1   12s   x", "demo   1/1   1m    x"),
            ("demo   1/1   2m5s", "demo   1/1   1m"),
            (
                "pod demo-5df965c699-2xc6v: why",
                "pod demo-0123456789-abcde: why",
            ),
            (
                "pod demo-5df965c699-2xc6v (1)",
                "pod demo-0123456789-abcde (1)",
            ),
            (
                "  UID:      abc",
                "  UID:      7f1c2b7e-9e1f-4a43-9d0c-0d7f6f6f0a11",
            ),
            ("two-word-names stay", "two-word-names stay"),
        ] {
            assert_eq!(lasting_line(printed), lasting);
        }
    }

    #[test]
    fn what_is_logged_for_information_is_no_answer() {
        let logged = "I1128 14:56:15.766412    3428 reflector.go:664] \"Warning: watch ended\"";
        let printed = format!("demo condition met\n{logged}\nI see\n");
        assert_eq!(lasting(&printed), "demo condition met\nI see\n");
        let error = format!("E{}", &logged[1..]);
        assert_eq!(lasting(&error), format!("{error}\n"));
    }

    #[tokio::test]
    async fn a_document_that_shows_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("document.md");
        let text = "Text.\n```console\n$ one\n1\n$ two\n2\n```\nMore.\n";
        fs::write(&document, text).unwrap();
        let answer = async |command: &str| {
            Ok(match command {
                "one" => "1\n",
                _ => "2\n\n",
            }
            .to_owned())
        };
        assert_eq!(compare(&document, answer).await.unwrap(), 2);
        let other = async |_: &str| Ok("1\n".to_owned());
        let error = compare(&document, other).await.unwrap_err().to_string();
        assert!(error.contains("shows\n2\nbut now it is\n1"), "{error}");
        fs::write(&document, "```console\n$ one\n").unwrap();
        assert!(compare(&document, answer).await.is_err());
    }
}
