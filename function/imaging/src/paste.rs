//! Instance masks into the picture.

use crate::rle::{Rle, Runs};

/// Pastes the probabilities `mask` (`[side, side]`) of an object into its `bbox`
/// (`[x0, y0, x1, y1]`, pixels) on a picture of `[width, height]`: the pixels where the probability,
/// resized bilinearly, is above `threshold`.
///
/// This is `paste_masks_in_image` of torchvision's Mask R-CNN
/// (`torchvision/models/detection/roi_heads.py`) with the comparison that follows it, but column by
/// column into run lengths, so that no bitmap of the picture's size is ever made. Like there, the mask
/// is padded by one zero on each side, the box is enlarged to match and cut to whole pixels.
///
/// # Panics
/// Where `mask` has not `side * side` values.
pub fn paste(
    mask: &[f32],
    side: usize,
    bbox: [f32; 4],
    [width, height]: [u32; 2],
    threshold: f32,
) -> Rle {
    let padded = side + 2;
    let [x0, y0, x1, y1] = enlarge(bbox, padded as f32 / side as f32);
    let columns = Axis::of_whole_pixels(x0, x1, padded, width);
    let rows = Axis::of_whole_pixels(y0, y1, padded, height);
    paste_along(mask, side, &columns, &rows, [width, height], threshold)
}

/// As [`paste`], but into the very `bbox`, as Detectron2's `paste_masks_in_image` does it: cell `[0, 0]` of a mask begins
/// at `x0, y0`, wherever in a pixel that is. What is small is up to a pixel off where boxes are cut to whole ones.
///
/// # Panics
/// Where `mask` has not `side * side` values.
pub fn paste_exactly(
    mask: &[f32],
    side: usize,
    [x0, y0, x1, y1]: [f32; 4],
    [width, height]: [u32; 2],
    threshold: f32,
) -> Rle {
    let columns = Axis::of_exactly(x0, x1, side, width);
    let rows = Axis::of_exactly(y0, y1, side, height);
    paste_along(mask, side, &columns, &rows, [width, height], threshold)
}

/// Pastes a mask that these axes are made for, padded by one zero on each side.
fn paste_along(
    mask: &[f32],
    side: usize,
    columns: &Axis,
    rows: &Axis,
    [width, height]: [u32; 2],
    threshold: f32,
) -> Rle {
    assert_eq!(mask.len(), side * side, "a mask has side * side values");
    let spans = rows.spans();

    let mut runs = Runs::default();
    runs.push(false, columns.start * height);
    let mut column = vec![0.0; side + 2];
    for x in columns.start..columns.end {
        let tap = columns.tap(x);
        for (row, value) in column[1..=side].iter_mut().enumerate() {
            let at = |index: usize| match index {
                0 => 0.0,
                index if index > side => 0.0,
                index => mask[row * side + index - 1],
            };
            *value = blend(at(tap.low), at(tap.high), tap.weight);
        }
        runs.push(false, rows.start);
        fill(&mut runs, &column, &spans, threshold);
        runs.push(false, height - rows.end);
    }
    runs.push(false, (width - columns.end) * height);
    runs.finish(height, width)
}

/// Adds one column of the box: the column's values, resized to the box's rows, against the threshold.
fn fill(runs: &mut Runs, column: &[f32], rows: &[Span], threshold: f32) {
    /// More than rounding moves a blend of probabilities out of the range of its two ends.
    const ROUNDING: f32 = 1e-5;
    for span in rows {
        let (low, high) = (column[span.low], column[span.high]);
        // A blend lies between its ends: mostly none of the span's rows can differ from the others.
        if low.min(high) > threshold + ROUNDING {
            runs.push(true, span.length());
        } else if low.max(high) < threshold - ROUNDING {
            runs.push(false, span.length());
        } else {
            for weight in &span.weights {
                runs.push(blend(low, high, *weight) > threshold, 1);
            }
        }
    }
}

/// The box about its centre, `scale` times as large, in whole pixels (towards zero).
fn enlarge([x0, y0, x1, y1]: [f32; 4], scale: f32) -> [i64; 4] {
    let (half_width, half_height) = ((x1 - x0) * 0.5 * scale, (y1 - y0) * 0.5 * scale);
    let (x, y) = ((x1 + x0) * 0.5, (y1 + y0) * 0.5);
    // `as` saturates, and a NaN becomes 0.
    [
        (x - half_width) as i64,
        (y - half_height) as i64,
        (x + half_width) as i64,
        (y + half_height) as i64,
    ]
}

/// One direction of the resized mask: output pixels `start..end` of the picture, whose values come from
/// `inputs` mask values, as torch's `interpolate(mode="bilinear", align_corners=False)` takes them.
struct Axis {
    /// Where in the picture the first value's cell begins.
    origin: f32,
    start: u32,
    end: u32,
    inputs: usize,
    /// Values to a pixel.
    scale: f32,
}

/// The two values that make one output, and the weight of the second.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

/// Neighbouring outputs that are made of the same two values.
struct Span {
    low: usize,
    high: usize,
    /// The weight of the second value in each output.
    weights: Vec<f32>,
}

impl Span {
    fn length(&self) -> u32 {
        // Never more than the picture has rows.
        self.weights.len() as u32
    }
}

impl Axis {
    /// Of `inputs` values on the pixels `from..=to`.
    fn of_whole_pixels(from: i64, to: i64, inputs: usize, limit: u32) -> Self {
        let outputs = to.saturating_sub(from).saturating_add(1).max(1);
        let limit = i64::from(limit);
        let start = from.clamp(0, limit);
        let end = to.saturating_add(1).clamp(start, limit);
        Self {
            origin: from as f32,
            start: start as u32,
            end: end as u32,
            inputs,
            scale: inputs as f32 / outputs as f32,
        }
    }

    /// Of a value more on each side than the `side` that lie between these coordinates.
    fn of_exactly(from: f32, to: f32, side: usize, limit: u32) -> Self {
        let cell = (to - from) / side as f32;
        let origin = from - cell;
        // `as` saturates, and a NaN becomes 0.
        let start = (origin.floor() as u32).min(limit);
        let end = ((to + cell).ceil() as u32).min(limit);
        Self {
            origin,
            start,
            // Where there are no cells, no pixel is in one.
            end: if cell > 0.0 { end.max(start) } else { start },
            inputs: side + 2,
            scale: 1.0 / cell,
        }
    }

    fn tap(&self, pixel: u32) -> Tap {
        let output = pixel as f32 - self.origin;
        let source = ((output + 0.5) * self.scale - 0.5).max(0.0);
        let low = (source as usize).min(self.inputs - 1);
        Tap {
            low,
            high: (low + 1).min(self.inputs - 1),
            weight: source - low as f32,
        }
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for tap in (self.start..self.end).map(|pixel| self.tap(pixel)) {
            match spans.last_mut() {
                Some(span) if span.low == tap.low => span.weights.push(tap.weight),
                _ => spans.push(Span {
                    low: tap.low,
                    high: tap.high,
                    weights: vec![tap.weight],
                }),
            }
        }
        spans
    }
}

fn blend(low: f32, high: f32, weight: f32) -> f32 {
    (1.0 - weight) * low + weight * high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Axis, blend, enlarge, paste, paste_exactly};
    use crate::rle::Rle;

    /// The same with every pixel of the picture at hand.
    fn naive(mask: &[f32], side: usize, bbox: [f32; 4], size: [u32; 2], threshold: f32) -> Rle {
        let [width, height] = size;
        let [x0, y0, x1, y1] = enlarge(bbox, (side + 2) as f32 / side as f32);
        let (columns, rows) = (
            Axis::of_whole_pixels(x0, x1, side + 2, width),
            Axis::of_whole_pixels(y0, y1, side + 2, height),
        );
        let at = |row: usize, column: usize| {
            let inside = (1..=side).contains(&row) && (1..=side).contains(&column);
            if inside {
                mask[(row - 1) * side + column - 1]
            } else {
                0.0
            }
        };
        let bitmap: Vec<bool> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| {
                let in_box = (columns.start..columns.end).contains(&x)
                    && (rows.start..rows.end).contains(&y);
                if !in_box {
                    return false;
                }
                let (c, r) = (columns.tap(x), rows.tap(y));
                let low = blend(at(r.low, c.low), at(r.low, c.high), c.weight);
                let high = blend(at(r.high, c.low), at(r.high, c.high), c.weight);
                blend(low, high, r.weight) > threshold
            })
            .collect();
        Rle::from_bitmap(height, width, &bitmap).unwrap()
    }

    proptest! {
        #[test]
        fn columns_give_what_the_whole_bitmap_gives(
            mask in proptest::collection::vec(0.0..1.0f32, 16),
            bbox in proptest::array::uniform4(-30.0..60.0f32),
            width in 1..40u32,
            height in 1..40u32,
        ) {
            let pasted = paste(&mask, 4, bbox, [width, height], 0.5);
            prop_assert_eq!(pasted, naive(&mask, 4, bbox, [width, height], 0.5));
        }

        #[test]
        fn any_box_is_pasted(bbox in proptest::array::uniform4(any::<f32>())) {
            let pasted = paste(&[1.0; 4], 2, bbox, [7, 5], 0.5);
            prop_assert!(pasted.area() <= 35);
            let pasted = paste_exactly(&[1.0; 4], 2, bbox, [7, 5], 0.5);
            prop_assert!(pasted.area() <= 35);
        }

        /// Of Detectron2's formula, `grid_sample` with zeros around the mask.
        #[test]
        fn a_mask_lies_exactly_in_its_box(
            mask in proptest::collection::vec(0.0..1.0f32, 16),
            start in proptest::array::uniform2(-30.0..60.0f32),
            sides in proptest::array::uniform2(0.5..60.0f32),
            width in 1..40u32,
            height in 1..40u32,
        ) {
            let bbox = [start[0], start[1], start[0] + sides[0], start[1] + sides[1]];
            let pasted = paste_exactly(&mask, 4, bbox, [width, height], 0.5).to_bitmap();
            let value = |column: f32, row: f32| {
                let inside = (0.0..4.0).contains(&column) && (0.0..4.0).contains(&row);
                if inside { mask[row as usize * 4 + column as usize] } else { 0.0 }
            };
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                let [u, v] = [(x, 0), (y, 1)]
                    .map(|(at, axis)| (at as f32 + 0.5 - start[axis]) / sides[axis] * 4.0 - 0.5);
                let row = |row: f32| {
                    blend(value(u.floor(), row), value(u.floor() + 1.0, row), u - u.floor())
                };
                let probability = blend(row(v.floor()), row(v.floor() + 1.0), v - v.floor());
                let is_in = pasted[(y * width + x) as usize];
                let near = (probability - 0.5).abs() < 1e-3;
                prop_assert!(near || is_in == (probability > 0.5), "{x} {y}: {probability}");
            }
        }
    }

    #[test]
    fn exactly_pasted_are_the_pixels_whose_middles_are_in_the_box() {
        let pasted = paste_exactly(&[1.0; 16], 4, [1.25, 0.75, 3.5, 2.0], [5, 3], 0.5);
        let expected = [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(pasted.to_bitmap(), expected.map(|bit| bit == 1));
    }

    /// Boxes, and what torchvision pastes into them on a picture of 97 x 61; printed by
    /// `scripts/torchvision_paste.py`, which makes the same mask.
    const EXPECTED: &[([f32; 4], &str)] = &[
        (
            [10.3, 5.7, 60.2, 50.9],
            "\\i0170M0[11cN0O12N\\10cN20O1OO1X10hN010O000T1OlN20O10N11OT1OlN110O00010Q11nNO10N11O10N0P10RO0N11O10O000o00RO0N11O10N11Oo00PO11O10N1100O0Ol01SO11O10N11O10N0k01VO00OO1100OO20Nk01VOO10N11O10N11Oj01VOOO1100OO20O1Oj00VO1O01O01O010O0k0OUO1101NO1011NO2i00VO02O3ON1M11Oi01XOO0O90F110i00WO0N190HO10N0h00ZOOO191GO10N0h00XO11O90H0N11Of00ZO01080G1O01Oe01[OO10N070I11O10d01[OO01OO8OH21O00f00[O0N11O90H0N1g0OZO1O01O90G1O0h0NXO21O10N11O10N11Oh0OWO21O01O01O01O01Oj00WO0N11O10N1100Oj00VO1O01O01O02NO2j0OUO1100OO12OO000j01UO02NO20O1OO20Oj00WO0N11O10O00010n0OQO20O10N11O1Om02ROO10N11O10N0P11QOO10N11O10N0U10kN11O10N1Y1OgN11O10N1W10jNO10N11OW11iNO10N11O\\10cN110d1O]NOn`2",
        ),
        (
            [0.0, 0.0, 97.0, 61.0],
            "X>25OU11kNOM31NW10jN1M12OV1OiN2001OV1OiN2001OOOS10mN20O20M0S10nN02OO1O0Q11oNO2ON20Om0NSO31O1ON20Ol0OTO21O00O010j00UO11OO10O2Oh02VOO20M12O1ON0f01[O01ON21O1ON1e00\\O000O11OO10Oe00\\O0O10O20M21Ne00]OON20O2ON21Od00\\O0N12O1ON21Od0O\\O10000O1001OONb01^O21O00O10O20M0b0O_O21O1OM22O1ON1`00@02OO2N02O00O0?1AO2ON21O00O10O>1CO1ON21O1ON20O>1CO1ON21O00N12O=1COO10O2OO10000=1CON21N2ON21O00=0D0M12O1ON21O1O=0B1O11OO10O2OO2>NA2001OO10O2ON2`0N@20O20M12O1ON2?OA0102NN20000O1>0BO2O;1C10O>1CO1O;1B21N>1CO1O;1B12O=1COO1<OD11OON;2G0M1>OC11OOO:1HON2<0DO20M0;0HON2<OE01ON1:0F100<OFON20O:0F10O=0EON20O:0E12O<0EON11081GO10ON;1E20O2O71H000OO:0E22O1O62IO1OM1;NF31O1O62IO00N0;NF31O0070JON21N9OF31OO090ION21N9OF220M1:OION21N<1EON2:NF20O2O;1C100:NF20O2OO02OO2N10O;OD22O1ON21O1OM22O:NE31O00O11O00N12O:NE31OO10O2ON21O00:NE31ON12O1ON21O1O<1D0M12O1ON21O00>OA2001OO10O2OO1?O@2001OO10O2ON2`0N@20O20M12O1ON2?OA02OO1O11O00O1>0BO2ON2001OO10O?0B01ON20O20M12O>0B000O01010M12O>OC1N10O2ON2001Od00ZO12O1ON2001Ne00ZO21O1ON20O2Oc01[O11OO10O2OO1c01\\OO20M21N2ON1e01[OO2ON21O1ON1e00\\O01ON21O00OOf01[O0O1001OO10Nl01TO10O20M1S1NmN22O1ON2P10oN02O00O1o00ROO00O10OP11QOO1ON20OP10RO0O0N12OP1NRO1N1001NV11hN21O\\1OcN21O`10aNOjc0",
        ),
        (
            [80.5, 40.5, 96.9, 60.9],
            "kk431N00d10\\N020N0a10_N00000000000_11bNOO20N01]1OcN00000000000^13bNM40L000\\10fN020L011Z1OeN00040L00000]11jNOI2\\1NdN00000000000_12aNN0000000000`10`N014OL^10bN00000000000`11`NO020Nf10b0",
        ),
        (
            [-12.5, 20.0, 30.0, 90.0],
            "k04301ON12Oj00WOON2001ONNi02XO1O02O00NOi01WO1101ON12Md04[OO1O=N73\\OO00=O72\\OON1?O70[O100>O70ZO12O>O52\\O01ON0;O:1]O0O10O:O:1]O0N12OR10lN1101ON030e0NYO300O10O2ONNi02ZOOM31N2OM0i01WO20O2ON21Lf03ZO01ON20O2Md03\\OO1OM31N2Nk02RO20O2ON1l00UO01ON20Ok00WOO1OM31NS10lN20O2OQ11mN02OO1Q10oNO2OM3Z1NfN20O\\1MeN31N[W4",
        ),
        ([50.0, 30.0, 50.4, 30.2], "mh5"),
    ];

    #[test]
    fn masks_are_pasted_as_by_torchvision() {
        let side = 28i32;
        let mask: Vec<f32> = (0..side * side)
            .map(|i| {
                let (x, y) = (i % side, i / side);
                let distance = (x - 13) * (x - 13) + (y - 12) * (y - 12);
                if distance < 9 {
                    0.125
                } else if distance < 144 {
                    (((x * 7 + y * 5) % 8) as f32 / 8.0).max(0.375)
                } else {
                    0.25
                }
            })
            .collect();
        for (bbox, expected) in EXPECTED {
            let pasted = paste(&mask, side as usize, *bbox, [97, 61], 0.5);
            assert_eq!(pasted.to_coco_string(), *expected, "{bbox:?}");
        }
    }
}
