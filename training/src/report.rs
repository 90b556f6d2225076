//! A page about a training: how its losses fell, how good it became, and what it finds.

use std::fmt::Write as _;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use segmenter_imaging::{Image, encode};

use crate::{
    evaluate::Quality,
    train::{Line, Losses},
};

/// The curves, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
const MARGIN: f64 = 48.0;

/// A part of the losses, as it is drawn.
struct Curve {
    name: &'static str,
    colour: &'static str,
    of: fn(&Losses) -> f32,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "scores",
        colour: "#0969da",
        of: |losses| losses.scores,
    },
    Curve {
        name: "boxes",
        colour: "#bf3989",
        of: |losses| losses.boxes,
    },
    Curve {
        name: "masks",
        colour: "#9a6700",
        of: |losses| losses.masks,
    },
];

const STYLE: &str = "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse}td,th{padding:.2rem 1rem;text-align:right}\
td:first-child,th:first-child{text-align:left}img{width:100%}\
svg text{font-size:12px;fill:currentColor}svg{max-width:100%}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}}";

/// Everything on one page of HTML, which needs nothing beside it. There may be no record.
///
/// # Errors
/// Where the sheet cannot be written as a PNG.
pub fn html(record: &[Line], qualities: &[Quality], sheet: &Image) -> anyhow::Result<String> {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Training</title>\
         <style>{STYLE}</style>\n<h1>Training</h1>\n"
    );
    if let Some(last) = record.last() {
        let minutes = last.seconds / 60.0;
        write!(
            page,
            "<h2>Losses</h2>\n<p>{} steps in {minutes:.0} minutes.</p>\n",
            last.step
        )?;
        page.push_str(&curves(record)?);
    }
    page.push_str(
        "<h2>Average precision of the masks</h2>\n\
         <table><tr><th>class<th>objects<th>0.50 to 0.95<th>0.50<th>0.75</tr>\n",
    );
    for quality in qualities {
        writeln!(
            page,
            "<tr><td>{}<td>{}<td>{:.3}<td>{:.3}<td>{:.3}</tr>",
            escaped(&quality.class),
            quality.objects,
            quality.ap,
            quality.ap50,
            quality.ap75
        )?;
    }
    let mut png = Vec::new();
    encode::png(sheet, &mut png).context("cannot write the sheet as a PNG")?;
    write!(
        page,
        "</table>\n<h2>What is found</h2>\n<img alt=\"pictures with outlines\" src=\"data:image/png;base64,{}\">\n",
        STANDARD.encode(png)
    )?;
    Ok(page)
}

/// The losses by their steps, on a logarithmic scale.
fn curves(record: &[Line]) -> anyhow::Result<String> {
    let values = record
        .iter()
        .flat_map(|line| CURVES.map(|curve| f64::from((curve.of)(&line.losses))))
        .filter(|value| *value > 0.0);
    let [least, most] = values.fold([f64::INFINITY, 0.0], |[least, most]: [f64; 2], value| {
        [least.min(value), most.max(value)]
    });
    let steps = record.last().map_or(1, |line| line.step).max(1) as f64;
    let x = |step: u64| MARGIN + (WIDTH - 2.0 * MARGIN) * step as f64 / steps;
    let spread = (most / least).ln().max(1e-9);
    let y = |value: f64| {
        let part = (value.max(least) / least).ln() / spread;
        HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * part
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" role=\"img\" aria-label=\"losses by steps\">\n"
    );
    let decades = (least.log10().floor() as i32)..=(most.log10().ceil() as i32);
    for value in decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|part| part * 10_f64.powi(decade))) {
        if (least..=most).contains(&value) {
            let y = y(value);
            writeln!(
                svg,
                "<line x1=\"{MARGIN}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#8886\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                WIDTH - MARGIN,
                MARGIN - 6.0,
                y + 4.0
            )?;
        }
    }
    for (index, Curve { name, colour, of }) in CURVES.into_iter().enumerate() {
        let points: Vec<_> = record
            .iter()
            .map(|line| format!("{:.1},{:.1}", x(line.step), y(of(&line.losses).into())))
            .collect();
        writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\
             <text x=\"{}\" y=\"20\" style=\"fill:{colour}\">{name}</text>",
            points.join(" "),
            MARGIN + 80.0 * index as f64,
        )?;
    }
    writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">step {steps}</text></svg>",
        WIDTH - MARGIN,
        HEIGHT - MARGIN / 2.0
    )?;
    Ok(svg)
}

/// As text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_curves_figures_and_pictures() {
        let record: Vec<_> = (1..=3)
            .map(|step| {
                let loss = 1.0 / step as f32;
                Line {
                    step: 20 * step,
                    seconds: 9.0,
                    losses: Losses {
                        scores: loss,
                        boxes: loss,
                        masks: 0.0,
                    },
                }
            })
            .collect();
        let quality = Quality {
            class: "<cup>".to_owned(),
            objects: 7,
            ap: 0.5,
            ap50: 0.75,
            ap75: 0.25,
        };
        let sheet = Image::new(2, 1, vec![9; 6]).unwrap();
        let page = html(&record, &[quality], &sheet).unwrap();
        assert_eq!(page.matches("<polyline").count(), 3);
        assert!(
            page.contains("<td>&lt;cup><td>7<td>0.500<td>0.750<td>0.250</tr>"),
            "{page}"
        );
        assert!(page.contains("src=\"data:image/png;base64,iVBOR"), "{page}");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        let without = html(&[], &[], &sheet).unwrap();
        assert!(!without.contains("<svg"), "{without}");
    }
}
