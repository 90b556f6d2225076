//! Bars in groups, as SVG: readable on a light and on a dark page, and by who does not see it.

use std::fmt::Write as _;

use crate::statistics::Spread;

/// Groups of bars, each on a scale of its own.
#[derive(Debug)]
pub(crate) struct Chart {
    /// What is shown.
    pub(crate) title: String,
    /// What a reader has to know of it; below the bars.
    pub(crate) note: String,
    /// From the top.
    pub(crate) groups: Vec<Group>,
}

/// Bars that are compared with each other.
#[derive(Debug)]
pub(crate) struct Group {
    /// What is compared.
    pub(crate) title: String,
    /// From the top.
    pub(crate) bars: Vec<Bar>,
}

/// A bar with a line over the range of its values.
#[derive(Debug)]
pub(crate) struct Bar {
    /// Whose.
    pub(crate) name: String,
    /// Whether it stands out.
    pub(crate) ours: bool,
    /// How long it is.
    pub(crate) value: Spread,
    /// The value in words.
    pub(crate) text: String,
}

/// In pixels.
const WIDTH: f64 = 760.0;
const NAMES: f64 = 220.0;
const TEXTS: f64 = 140.0;
const BARS: f64 = WIDTH - NAMES - TEXTS;
const ROW: f64 = 22.0;
const THICKNESS: f64 = 14.0;
const HEAD: f64 = 34.0;
const GROUP_HEAD: f64 = 30.0;
/// Letters of the note in a line, which an average letter of 11 pixels leaves place for.
const LETTERS: usize = 125;

/// The colours of the page's text, of what stands out and of the rest, for a light and for a dark page.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.title{font-weight:600;font-size:15px}.group{font-weight:600}.note{font-size:11px}\
.name{text-anchor:end}.ours{fill:#0969da}.other{fill:#afb8c1}.range{stroke:#1f2328;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#4493f8}.other{fill:#57606a}\
.range{stroke:#e6edf3}}";

impl Chart {
    /// The whole file.
    pub(crate) fn svg(&self) -> String {
        let mut body = String::new();
        let mut y = HEAD;
        for group in &self.groups {
            y += GROUP_HEAD;
            text(&mut body, "group", 0.0, y - 8.0, &group.title);
            let longest = group
                .bars
                .iter()
                .map(|bar| bar.value.greatest)
                .fold(f64::MIN_POSITIVE, f64::max);
            for bar in &group.bars {
                bar.draw(&mut body, y, BARS / longest);
                y += ROW;
            }
        }
        y += 10.0;
        for line in wrapped(&self.note, LETTERS) {
            y += 16.0;
            text(&mut body, "note", 0.0, y, &line);
        }
        let height = y + 10.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
             <title id=\"title\">{title}</title>\n<desc id=\"desc\">{description}</desc>\n\
             <style>{STYLE}</style>\n\
             <g aria-hidden=\"true\">\n<text class=\"title\" x=\"0\" y=\"18\">{title}</text>\n{body}</g>\n</svg>\n",
            title = escaped(&self.title),
            description = escaped(&self.description()),
        )
    }

    /// The same in words.
    fn description(&self) -> String {
        let mut words = String::new();
        for group in &self.groups {
            let bars: Vec<String> = group
                .bars
                .iter()
                .map(|bar| format!("{} {}", bar.name, bar.text))
                .collect();
            // Writing to a string cannot fail.
            let _ = write!(words, "{}: {}. ", group.title, bars.join("; "));
        }
        words + &self.note
    }
}

impl Bar {
    /// With its upper end at `y`; a unit has `scale` pixels.
    fn draw(&self, out: &mut String, y: f64, scale: f64) {
        let baseline = y + THICKNESS - 2.5;
        text(out, "name", NAMES - 8.0, baseline, &self.name);
        let class = if self.ours { "ours" } else { "other" };
        let [median, least, greatest] =
            [self.value.median, self.value.least, self.value.greatest].map(|value| value * scale);
        let middle = y + THICKNESS / 2.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{NAMES}\" y=\"{y}\" width=\"{median:.1}\" height=\"{THICKNESS}\" rx=\"2\"/>\n\
             <line class=\"range\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>",
            NAMES + least,
            NAMES + greatest,
        );
        text(out, "value", NAMES + greatest + 8.0, baseline, &self.text);
    }
}

fn text(out: &mut String, class: &str, x: f64, y: f64, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escaped(text)
    );
}

/// As the content of an element.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // Of control characters XML has only these.
            '\t' | '\n' => safe.push(letter),
            _ if letter.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(letter),
        }
    }
    safe
}

/// In lines of at most `letters`, broken between words; a longer word has its own.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Bar, Chart, Group, escaped, wrapped};
    use crate::statistics::Spread;

    #[test]
    fn no_text_ends_its_element() {
        assert_eq!(escaped("a < b & \"c\" > d"), "a &lt; b &amp; \"c\" &gt; d");
        assert_eq!(
            escaped("</text>\u{0}\u{1b}"),
            "&lt;/text&gt;\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable it", 4), ["unbreakable", "it"]);
        assert!(wrapped(" ", 4).is_empty());
    }

    #[test]
    fn the_longest_range_fills_its_place_and_all_is_said_in_words() {
        let bar = |name: &str, ours, median, greatest| Bar {
            name: name.to_owned(),
            ours,
            value: Spread {
                median,
                least: median,
                greatest,
            },
            text: format!("{median} ms"),
        };
        let chart = Chart {
            title: "Times".to_owned(),
            note: "R&D".to_owned(),
            groups: vec![Group {
                title: "work".to_owned(),
                bars: vec![bar("we", true, 1.0, 1.0), bar("they", false, 3.0, 4.0)],
            }],
        };
        let svg = chart.svg();
        assert!(svg.contains("class=\"ours\" x=\"220\" y=\"64\" width=\"100.0\""));
        assert!(svg.contains("class=\"other\" x=\"220\" y=\"86\" width=\"300.0\""));
        assert!(svg.contains("x2=\"620.0\""));
        assert!(svg.contains("<desc id=\"desc\">work: we 1 ms; they 3 ms. R&amp;D</desc>"));
    }
}
