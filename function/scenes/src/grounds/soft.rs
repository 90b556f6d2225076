//! Cloth, carpets, papers and plants.

use super::{Axes, direction, loud};
use crate::{
    layer::Paint,
    maths::{
        Colour, TAU, cos, floor, fract, grey, hsv, length, mix, scale, sin, smooth, triangle,
        turned, turns,
    },
    noise::{cell, fractal, hash, strewn},
    random::Random,
};

/// Quilted along both diagonals: cushions with a seam between them.
pub(super) fn diamonds(random: &mut Random, [base, near, _]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.08, 0.35);
    let narrow = random.range(0.6, 1.0);
    let turn = direction(random) + TAU / 8.0;
    cushions(random, [base, near], size, turn, narrow)
}

/// Quilted along the axes.
pub(super) fn quilt(random: &mut Random, [base, near, _]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.1, 0.4);
    let turn = direction(random);
    cushions(random, [base, near], size, turn, 1.0)
}

fn cushions(
    random: &mut Random,
    [base, near]: [Colour; 2],
    size: f32,
    turn: f32,
    narrow: f32,
) -> Paint {
    let depth = random.range(0.15, 0.55);
    let weave = random.range(0.05, 0.25);
    let seed = random.seed();
    let light = [random.range(-1.0, 1.0), random.range(-1.0, 0.2)];
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let bow = fractal([at[0] * 2.0, at[1] * 2.0], footprint * 2.0, 2, seed ^ 3) * 0.12;
        let [x, y] = axes.at([at[0], at[1] * narrow]);
        let [x, y] = [x + bow, y - bow];
        let [u, v] = [fract(x) - 0.5, fract(y) - 0.5];
        let slope = light[0] * u + light[1] * v;
        let seam = (0.5 - u.abs().max(v.abs())) * size;
        let dip = (1.0 - seam / (0.07 * size)).clamp(0.0, 1.0);
        let thread = fractal(
            [at[0] / size * 14.0, at[1] / size * 14.0],
            footprint / size * 14.0,
            3,
            seed,
        );
        let colour = mix(base, near, 0.5 + 0.5 * thread);
        scale(
            colour,
            (1.0 + depth * (2.2 * slope - 0.75 * dip * dip) + weave * thread).max(0.1),
        )
    })
}

pub(super) fn carpet(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.004, 0.03);
    let depth = random.range(0.2, 0.8);
    let flecks = random.range(0.0, 0.5);
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let pile = fractal([x / size, y / size], footprint / size, 3, seed);
        let worn = fractal([x * 3.0, y * 3.0], footprint * 3.0, 2, seed ^ 9);
        let fleck = fractal(
            [x / size / 3.0, y / size / 3.0],
            footprint / size / 3.0,
            2,
            seed ^ 4,
        );
        let colour = mix(
            mix(base, near, 0.5 + worn),
            other,
            (fleck * 3.0 * flecks).clamp(0.0, 1.0),
        );
        scale(colour, (1.0 + depth * pile + 0.25 * worn).max(0.1))
    })
}

pub(super) fn woven(random: &mut Random, [base, near, _]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.008, 0.06);
    let turn = direction(random);
    let depth = random.range(0.2, 0.6);
    let seed = random.seed();
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let fade = (1.6 - 2.0 * footprint / size).clamp(0.0, 1.0);
        let over = (floor(x) + floor(y)) & 1 == 0;
        let (along, across) = if over {
            (fract(x), fract(y))
        } else {
            (fract(y), fract(x))
        };
        let round =
            1.0 - 4.0 * (across - 0.5) * (across - 0.5) - 2.0 * (along - 0.5) * (along - 0.5);
        let own = cell(
            if over { floor(y) } else { floor(x) },
            i32::from(over),
            seed,
        );
        let wide = fractal([at[0] * 3.0, at[1] * 3.0], footprint * 3.0, 3, seed);
        let colour = mix(base, near, if over { own * 0.5 } else { 0.5 + own * 0.5 });
        scale(colour, 1.0 + depth * (round - 0.5) * fade + 0.25 * wide)
    })
}

pub(super) fn stripes(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.03, 0.5);
    let turn = direction(random);
    let colours = [
        base,
        near,
        other,
        if random.chance(0.25) {
            loud(random)
        } else {
            base
        },
    ];
    let checked = random.chance(0.35);
    let seed = random.seed();
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let band = |t: f32| {
            let index = floor(t);
            let own = |index: i32| colours[(hash(index, 0, seed) & 3) as usize];
            let edge = ((t - index as f32) * size / footprint).clamp(0.0, 1.0);
            mix(own(index - 1), own(index), edge)
        };
        let colour = if checked {
            mix(band(x), band(y + 50.0), 0.5)
        } else {
            band(x)
        };
        let thread = fractal([at[0] * 60.0, at[1] * 60.0], footprint * 60.0, 2, seed);
        scale(colour, 1.0 + 0.12 * thread)
    })
}

/// Folds or corrugated iron.
pub(super) fn waves(random: &mut Random, [base, near, _]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.05, 0.5);
    let turn = direction(random);
    let (depth, wild) = (random.range(0.1, 0.6), random.pick(&[0.0, 0.3, 1.5]));
    let seed = random.seed();
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let bow = fractal([x * 0.5, y * 0.3], footprint / size, 2, seed) * wild;
        let fade = (1.5 - 2.0 * footprint / size).clamp(0.0, 1.0);
        let wave = (super::hard::ribs(x + bow) - 0.5) * fade;
        scale(mix(base, near, 0.5 + wave), 1.0 + depth * wave * 1.4)
    })
}

/// Flat pieces of any colours, as in camouflage, mosaics and posters.
pub(super) fn patches(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.05, 0.5);
    let colours = if random.chance(0.7) {
        [base, near, other, grey(random.unit())]
    } else {
        std::array::from_fn(|_| loud(random))
    };
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let bow = 0.6
            * fractal(
                [x / size * 1.5, y / size * 1.5],
                footprint / size * 1.5,
                3,
                seed,
            );
        let (near, next, bits) = strewn([x / size + bow, y / size - bow], seed);
        let edge = ((next - near) * 0.5 * size / footprint).min(1.0);
        let colour = colours[(bits & 3) as usize];
        let dark = mix(colour, base, 0.4);
        scale(mix(dark, colour, edge), 1.0 + 0.3 * bow)
    })
}

/// Paper or cloth with rows of one shape with straight sides: bars, triangles, squares, stars.
pub(super) fn prints(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.04, 0.3);
    let turn = direction(random);
    let shift = random.pick(&[0.0, 0.5, 0.5, 0.33]);
    let corners = random.pick(&[3.0, 4.0, 4.0, 5.0, 6.0]);
    let radius = random.range(0.14, 0.48) * cos(TAU / 2.0 / corners);
    let narrow = random.pick(&[1.0, 1.0, 0.6, 0.35]);
    let notch = random.pick(&[0.0, 0.0, 0.0, 0.5]);
    let (lean, unlike) = (random.unit(), random.pick(&[0.0, 0.0, 0.1, 1.0]));
    let missing = random.pick(&[0.0, 0.0, 0.3]);
    let print = if random.chance(0.3) {
        loud(random)
    } else {
        other
    };
    let seed = random.seed();
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let row = floor(y);
        let x = x + shift * (row & 1) as f32;
        let own = cell(floor(x), row, seed);
        let there = cell(floor(x), row, seed ^ 5) >= missing;
        let [u, v] = turned(
            [fract(x) - 0.5, fract(y) - 0.5],
            TAU * (lean + unlike * (own - 0.5)),
        );
        let out = [u, v / narrow];
        // The middle of a side is half a corner from both that it lies between.
        let side = fract(turns(out) * corners) - 0.5;
        let middle = 1.0 - 2.0 * side.abs();
        let off = length(out) * cos(side * TAU / corners) - radius * (1.0 - notch * middle);
        let paper = fractal([at[0] * 2.0, at[1] * 2.0], footprint * 2.0, 2, seed);
        let cover = (0.5 - off * narrow * size / footprint).clamp(0.0, 1.0);
        let cover = if there { cover } else { 0.0 };
        scale(
            mix(base, mix(print, near, own * 0.5), cover),
            1.0 + 0.12 * paper,
        )
    })
}

pub(super) fn dots(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.05, 0.3);
    let turn = direction(random);
    let radius = random.range(0.12, 0.42);
    let petals = random.pick(&[0.0, 0.0, 3.0, 5.0]);
    let dot = if random.chance(0.3) {
        loud(random)
    } else {
        other
    };
    let seed = random.seed();
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let shift = if floor(y) & 1 == 0 { 0.5 } else { 0.0 };
        let [u, v] = [fract(x + shift) - 0.5, fract(y) - 0.5];
        let own = cell(floor(x + shift), floor(y), seed);
        let flower = if petals > 0.0 {
            0.3 * cos(crate::maths::turns([u, v]) * TAU * petals)
        } else {
            0.0
        };
        let off = (length([u, v]) - radius * (1.0 + flower)) * size;
        let paper = fractal([at[0] * 2.0, at[1] * 2.0], footprint * 2.0, 2, seed);
        let cover = (0.5 - off / footprint).clamp(0.0, 1.0);
        scale(
            mix(base, mix(dot, near, own * 0.5), cover),
            1.0 + 0.12 * paper,
        )
    })
}

/// Leaves over leaves, green to autumn.
pub(super) fn leaves(random: &mut Random) -> Paint {
    let size = random.log_range(0.05, 0.4);
    let hue = if random.chance(0.75) {
        random.range(0.2, 0.36)
    } else {
        random.range(0.02, 0.16)
    };
    let value = random.range(0.3, 0.75);
    let seed = random.seed();
    let flowers = if random.chance(0.35) {
        random.range(0.02, 0.15)
    } else {
        0.0
    };
    let flower = loud(random);
    Box::new(move |[x, y], footprint| {
        let deep = fractal(
            [x / size * 0.4, y / size * 0.4],
            footprint / size,
            3,
            seed ^ 1,
        );
        let (near, next, bits) = strewn([x / size, y / size + 0.4 * sin(x / size * 2.0)], seed);
        let own = (bits & 255) as f32 / 255.0;
        let rib = smooth((next - near) * 3.0);
        let shade = 0.25 + 0.75 * rib * (0.4 + 0.8 * own) + 0.5 * deep;
        let leaf = hsv(hue + 0.07 * (own - 0.5), 0.55 + 0.25 * deep, value);
        if ((bits >> 8) & 255) as f32 / 255.0 < flowers && near < 0.35 {
            return scale(flower, 0.7 + 0.5 * own);
        }
        scale(leaf, shade.max(0.05))
    })
}

pub(super) fn grass(random: &mut Random) -> Paint {
    let size = random.log_range(0.01, 0.05);
    let hue = random.range(0.15, 0.34);
    let colours = [
        hsv(hue, 0.6, 0.55),
        hsv(hue - 0.05, 0.45, 0.75),
        hsv(hue + 0.03, 0.7, 0.2),
    ];
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let clump = fractal([x * 5.0, y * 5.0], footprint * 5.0, 2, seed);
        let blade = fractal(
            [(x + 0.2 * clump * size) / size, y / size / 4.0],
            footprint / size,
            3,
            seed ^ 2,
        );
        let colour = mix(
            colours[0],
            colours[1],
            (0.5 + blade + 0.4 * clump).clamp(0.0, 1.0),
        );
        scale(
            mix(colour, colours[2], (-blade * 1.6).clamp(0.0, 1.0)),
            1.0 + 0.5 * clump,
        )
    })
}

/// Lights far out of focus.
pub(super) fn bokeh(random: &mut Random) -> Paint {
    let size = random.log_range(0.1, 0.4);
    let dark = hsv(
        random.unit(),
        random.range(0.1, 0.7),
        random.range(0.05, 0.4),
    );
    let hue = random.unit();
    let wild = random.range(0.05, 0.5);
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let mut colour = scale(
            dark,
            1.0 + 1.2 * fractal([x * 1.5, y * 1.5], footprint, 3, seed),
        );
        for layer in 0..2 {
            let grow = 1.0 + layer as f32 * 0.7;
            let (near, _, bits) = strewn([x / size * grow, y / size * grow], seed ^ layer);
            let own = (bits & 255) as f32 / 255.0;
            let radius = 0.15 + 0.35 * own;
            let cover = ((radius - near) * 12.0).clamp(0.0, 1.0);
            let lamp = hsv(
                hue + wild * (own - 0.5),
                0.5,
                0.4 + 0.6 * triangle(own * 7.0),
            );
            colour = mix(colour, lamp, 0.65 * cover);
        }
        colour
    })
}
