//! What is printed on posters, photographs, book covers and screens, about the origin.

use crate::{
    grounds::{self, Use},
    ink::{Ink, Stroke},
    layer::Paint,
    maths::{
        Colour, Point, TAU, along, cos, dot, floor, fract, grey, hsv, length, mix, polar, scale,
        sin, smooth, turns,
    },
    noise::{self, cell, fractal},
    random::Random,
    scene::Family,
    writing::Hand,
};

pub(super) fn any_colour(random: &mut Random) -> Colour {
    let saturation = random.range(0.1, 0.85);
    hsv(
        random.unit(),
        saturation,
        random.range(0.2, 1.0 - 0.2 * saturation),
    )
}

/// Paper, mostly white.
pub(super) fn paper(random: &mut Random) -> Colour {
    if random.chance(0.75) {
        grey(random.range(0.82, 1.0))
    } else {
        hsv(
            random.unit(),
            random.range(0.1, 0.7),
            random.range(0.6, 1.0),
        )
    }
}

/// Any picture of these half sides.
pub(super) fn any(random: &mut Random, family: Family, half: Point, detail: f32) -> Paint {
    match random.count(0, 11) {
        9 => icons(random, half),
        10 => shelf(random, half),
        11 => patchwork(random),
        0 => landscape(random),
        1 => portrait(random, half),
        2 | 3 => page(random, half, detail),
        4 => grounds::random(random, family, Use::Cloth),
        5 => blobs(random),
        6 => chart(random, half),
        7 => cover(random, family, half, detail),
        _ => grounds::random(random, family, Use::Wall),
    }
}

/// Lines of print or handwriting.
pub(super) fn page(random: &mut Random, half: Point, detail: f32) -> Paint {
    let colour = paper(random);
    let ink = grey(random.range(0.05, 0.4));
    let most = random.count(4, if detail > 150.0 { 36 } else { 14 });
    let lines = ((detail * 2.0 * half[1] / 8.0) as usize).clamp(2, most);
    let weight = random.range(0.14, 0.3);
    let mut strokes = Vec::new();
    let [w, h] = half.map(|side| side * 0.82);
    if detail > 60.0 && random.chance(0.6) {
        let hand = Hand::print(random, ink);
        hand.lines(random, [-w, -h, w, h], lines, &mut strokes);
    } else {
        for line in 0..lines {
            let y = -h + (line as f32 + 0.5) / lines as f32 * 2.0 * h;
            let end = if random.chance(0.25) {
                random.range(-0.3, 0.9)
            } else {
                1.0
            };
            let radius = weight * h / lines as f32;
            strokes.push(Stroke {
                from: [-w, y],
                to: [w * end, y],
                radius,
                colour: mix(ink, colour, 0.35),
            });
        }
    }
    let ink = Ink::new(strokes);
    let seed = random.seed();
    Box::new(move |at, footprint| {
        let light = 1.0 + 0.04 * fractal([at[0] * 4.0, at[1] * 4.0], footprint * 4.0, 2, seed);
        ink.over(at, footprint, scale(colour, light))
    })
}

/// A book's cover or a box: one colour, a title, a field.
fn cover(random: &mut Random, family: Family, half: Point, detail: f32) -> Paint {
    let colour = any_colour(random);
    let other = any_colour(random);
    let mut strokes = Vec::new();
    let shade = grey(random.pick(&[0.97, 0.08]));
    let hand = Hand::print(random, shade).fat(0.09);
    let [w, h] = [half[0] * 0.8, half[1]];
    let y = random.range(-0.8, 0.3) * h;
    let lines = random.count(1, 3);
    let high = random.range(0.2, 0.5) * h;
    hand.lines(random, [-w, y, w, y + high], lines, &mut strokes);
    let ink = Ink::new(strokes);
    let picture = (detail > 25.0 && random.chance(0.4)).then(|| landscape(random));
    let _ = family;
    let band = random.range(-0.5, 0.8) * h;
    Box::new(move |at, footprint| {
        let below = if at[1] > band {
            picture
                .as_ref()
                .map_or(other, |picture| picture(at, footprint))
        } else {
            colour
        };
        ink.over(at, footprint, below)
    })
}

/// A sky over hills, with a sun at times.
pub(super) fn landscape(random: &mut Random) -> Paint {
    let hue = if random.chance(0.7) {
        random.range(0.53, 0.62)
    } else {
        random.range(0.9, 1.15)
    };
    let sky = [
        hsv(hue, random.range(0.3, 0.8), random.range(0.5, 1.0)),
        hsv(
            hue + random.bell() * 0.1,
            random.range(0.05, 0.4),
            random.range(0.75, 1.0),
        ),
    ];
    let hills: [Colour; 3] = std::array::from_fn(|_| {
        hsv(
            random.range(0.08, 0.62),
            random.range(0.15, 0.7),
            random.range(0.15, 0.75),
        )
    });
    let levels = [
        random.range(-0.15, 0.1),
        random.range(0.0, 0.25),
        random.range(0.15, 0.45),
    ];
    let bumps = random.range(0.1, 0.45);
    let sun = (
        random.point([-0.4, -0.4, 0.4, -0.1]),
        random.range(0.03, 0.1),
    );
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let mut colour = [0.0; 3];
        // From the nearest hill to the sky, as long as something is left to see.
        let mut left = 1.0;
        for index in (0..3).rev() {
            let (hill, level) = (hills[index as usize], levels[index as usize]);
            if y < level - 0.55 * bumps {
                continue;
            }
            let at = [x * 2.5 + 7.0 * index as f32, 0.3];
            let top = level + bumps * fractal(at, footprint, 3, seed ^ index);
            let cover = ((y - top) / footprint + 0.5).clamp(0.0, 1.0);
            if cover > 0.0 {
                let rough = fractal([x * 12.0, y * 20.0], footprint * 20.0, 3, seed ^ 77);
                let hill = scale(hill, (0.9 + 0.7 * rough).max(0.05));
                colour = along(colour, hill, left * cover);
                left *= 1.0 - cover;
                if left <= 0.0 {
                    return colour;
                }
            }
        }
        let cloud = fractal([x * 3.0, y * 8.0], footprint * 6.0, 4, seed);
        let blue = mix(sky[0], sky[1], (y + 0.5).clamp(0.0, 1.0));
        let mut above = mix(blue, [0.95; 3], (cloud * 2.0 - 0.1).clamp(0.0, 0.85));
        let off = length([x - sun.0[0], y - sun.0[1]]) - sun.1;
        let disk = (0.5 - off / footprint.max(0.01)).clamp(0.0, 1.0);
        above = mix(above, [1.0, 0.9, 0.6], disk);
        along(colour, above, left)
    })
}

/// A head and shoulders.
fn portrait(random: &mut Random, half: Point) -> Paint {
    let back = any_colour(random);
    let skin = super::body::skin(random);
    let hair = hsv(
        random.range(0.03, 0.12),
        random.range(0.1, 0.7),
        random.range(0.05, 0.7),
    );
    let cloth = any_colour(random);
    let r = 0.42 * half[0].min(half[1]);
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let cover = |distance: f32| (0.5 - distance / footprint).clamp(0.0, 1.0);
        let mut colour = scale(
            back,
            1.0 + 0.5 * fractal([x * 3.0, y * 3.0], footprint, 3, seed),
        );
        let head = [x, y + 0.2 * r];
        colour = mix(
            colour,
            hair,
            cover(length([head[0], head[1] + 0.15 * r]) - 1.12 * r),
        );
        colour = mix(
            colour,
            cloth,
            cover(length([x * 0.7, (y - 2.2 * r) * 0.9]) - 1.3 * r),
        );
        colour = mix(
            colour,
            scale(skin, 1.0 - 0.25 * (x / r)),
            cover(length([head[0] * 1.2, head[1]]) - r),
        );
        for side in [-0.35, 0.35] {
            colour = mix(
                colour,
                grey(0.15),
                cover(length([head[0] - side * r, head[1]]) - 0.1 * r),
            );
        }
        mix(
            colour,
            hsv(0.99, 0.5, 0.6),
            cover(length([head[0] * 0.6, (head[1] - 0.5 * r) * 1.8]) - 0.18 * r),
        )
    })
}

/// Saturated organic pieces with shading: fruit, flowers, fabrics far out of focus.
pub(super) fn blobs(random: &mut Random) -> Paint {
    let size = random.log_range(0.12, 0.5);
    let hue = random.unit();
    let wide = random.range(0.05, 0.5);
    let saturation = random.range(0.3, 0.95);
    let seed = random.seed();
    let deep = random.range(0.2, 1.0);
    Box::new(move |[x, y], footprint| {
        let bow = fractal(
            [x / size * 0.8, y / size * 0.8],
            footprint / size,
            3,
            seed ^ 5,
        );
        let (near, next, bits) = noise::strewn([x / size + bow, y / size + 0.7 * bow], seed);
        let own = (bits & 255) as f32 / 255.0;
        let body = smooth((next - near) * 2.2);
        let colour = hsv(
            hue + wide * (own - 0.5),
            saturation,
            0.35 + 0.6 * ((bits >> 8) & 255) as f32 / 255.0,
        );
        let light = 1.0 - deep * (0.9 - body) + 0.5 * (0.4 - near) * deep;
        scale(colour, light.max(0.04))
    })
}

/// Bars or a pie.
fn chart(random: &mut Random, half: Point) -> Paint {
    let back = if random.chance(0.75) {
        grey(random.range(0.9, 1.0))
    } else {
        grey(0.12)
    };
    let colours: [Colour; 6] = std::array::from_fn(|_| any_colour(random));
    let pie = random.chance(0.4);
    let bars = random.count(3, 9) as f32;
    let seed = random.seed();
    let [w, h] = half.map(|side| 0.8 * side);
    Box::new(move |[x, y], footprint| {
        if pie {
            let slice = floor(turns([x, y]) * 6.0 + cell(0, 0, seed)) as usize % 6;
            let off = length([x, y]) - w.min(h);
            return mix(
                back,
                colours[slice],
                (0.5 - off / footprint).clamp(0.0, 1.0),
            );
        }
        if x.abs() > w || y > h {
            return back;
        }
        let place = (x / w * 0.5 + 0.5) * bars;
        let bar = floor(place);
        let high = h - 2.0 * h * cell(bar, 1, seed);
        let inside = (place - bar as f32 - 0.5).abs() < 0.36 && y > high;
        if inside {
            colours[(noise::hash(bar, 2, seed) % 3) as usize]
        } else {
            back
        }
    })
}

/// All hues around a middle, or along a line: what is a rainbow and no board.
pub(super) fn rainbow(random: &mut Random, half: Point) -> Paint {
    let round = random.chance(0.6);
    let steps = random.pick(&[0.0, 6.0, 12.0]);
    let phase = random.unit();
    let saturation = random.range(0.3, 0.75);
    let direction = polar(random.range(0.0, TAU));
    let rings = random.chance(0.3);
    Box::new(move |at, _| {
        let t = if rings {
            length(at) * 1.5
        } else if round {
            turns(at)
        } else {
            dot(at, direction) / (half[0] + half[1])
        };
        let t = t + phase;
        let t = if steps > 0.0 {
            floor(t * steps) as f32 / steps
        } else {
            t
        };
        hsv(t, saturation, 0.9)
    })
}

/// The face of a clock.
pub(super) fn clock(random: &mut Random) -> Paint {
    let face = if random.chance(0.8) {
        grey(random.range(0.85, 1.0))
    } else {
        any_colour(random)
    };
    let ink = grey(random.range(0.05, 0.3));
    let mut strokes = Vec::new();
    let every = random.pick(&[1, 3]);
    for hour in (0..12).step_by(every) {
        let [x, y] = polar(hour as f32 / 12.0 * TAU);
        strokes.push(Stroke {
            from: [x * 0.4, y * 0.4],
            to: [x * 0.45, y * 0.45],
            radius: 0.012,
            colour: ink,
        });
    }
    for (long, radius) in [(0.25, 0.016), (0.38, 0.011)] {
        let angle = random.range(0.0, TAU);
        let to = [long * cos(angle), long * sin(angle)];
        strokes.push(Stroke {
            from: [0.0, 0.0],
            to,
            radius,
            colour: ink,
        });
    }
    let ink = Ink::new(strokes);
    let rim = any_colour(random);
    Box::new(move |at, footprint| {
        let off = length(at) - 0.465;
        ink.over(
            at,
            footprint,
            mix(rim, face, (0.5 - off / footprint).clamp(0.0, 1.0)),
        )
    })
}

/// Round squares in a grid, as a telephone shows its programs, over a picture or a colour.
pub(super) fn icons(random: &mut Random, half: Point) -> Paint {
    let below = if random.chance(0.5) {
        blobs(random)
    } else {
        crate::layer::plain(any_colour(random))
    };
    let colours: [Colour; 8] = std::array::from_fn(|_| any_colour(random));
    let columns = random.count(3, 6) as f32;
    let (inner, round) = (random.range(0.28, 0.42), random.range(0.02, 0.14));
    let missing = random.range(0.0, 0.4);
    let seed = random.seed();
    Box::new(move |at, footprint| {
        let pitch = 2.0 * half[0] / columns;
        let [x, y] = [(at[0] + half[0]) / pitch, (at[1] + half[1]) / (pitch * 1.2)];
        let (column, row) = (floor(x), floor(y));
        let place = [x - column as f32 - 0.5, (y - row as f32 - 0.5) * 1.2];
        let off = crate::shapes::block(place, [inner, inner], round) * pitch;
        let glyph = (length(place) - inner * cell(column, row, seed ^ 3) * 0.8).abs() * pitch;
        let colour = colours[(noise::hash(column, row, seed) & 7) as usize];
        let icon = mix(
            colour,
            [0.9; 3],
            (0.5 + (0.04 * pitch - glyph) / footprint).clamp(0.0, 1.0),
        );
        let there = cell(column, row, seed ^ 9) > missing;
        let cover = if there {
            (0.5 - off / footprint).clamp(0.0, 1.0)
        } else {
            0.0
        };
        mix(below(at, footprint), icon, cover)
    })
}

/// Rows of books, back by back.
pub(super) fn shelf(random: &mut Random, half: Point) -> Paint {
    let rows = random.count(1, 4) as f32;
    let wood = hsv(
        random.range(0.05, 0.1),
        random.range(0.0, 0.6),
        random.range(0.15, 0.8),
    );
    let thin = random.log_range(0.015, 0.07);
    let colours: [Colour; 8] = std::array::from_fn(|_| any_colour(random));
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let v = (y / half[1] * 0.5 + 0.5) * rows;
        let row = floor(v);
        let v = v - row as f32;
        let cover = |distance: f32| (0.5 - distance / footprint).clamp(0.0, 1.0);
        let high = 2.0 * half[1] / rows;
        // Each place may be cut in two, so that not all backs are equally wide.
        let slot = floor(x / thin);
        let within = x / thin - slot as f32;
        let cut = 0.3 + 0.4 * cell(slot, row, seed ^ 5);
        let (book, edge) = if within < cut {
            (2 * slot, within.min(cut - within))
        } else {
            (2 * slot + 1, (within - cut).min(1.0 - within))
        };
        let top = 0.12 + 0.3 * cell(book, row, seed);
        let colour = colours[(noise::hash(book, row, seed ^ 1) & 7) as usize];
        let band = (v - 0.3 - 0.4 * cell(book, row, seed ^ 2)).abs() < 0.05;
        let back = if band {
            mix(colour, [0.8; 3], 0.6)
        } else {
            colour
        };
        let round = scale(back, 0.5 + 0.6 * smooth(edge * 5.0));
        let behind = scale(wood, 0.3);
        let colour = mix(behind, round, cover((top - v) * high));
        mix(colour, wood, cover((0.93 - v) * high))
    })
}

/// Squares of cloth or glass, each of its own colour.
pub(super) fn patchwork(random: &mut Random) -> Paint {
    let size = random.log_range(0.06, 0.3);
    let [c, s] = polar(random.range(0.0, TAU));
    let colours: [Colour; 8] = std::array::from_fn(|_| any_colour(random));
    let seam = (random.range(0.0, 0.05), scale([1.0; 3], random.unit()));
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let [u, v] = [(x * c - y * s) / size, (x * s + y * c) / size];
        let (column, row) = (floor(u), floor(v));
        let [du, dv] = [
            (u - column as f32 - 0.5).abs(),
            (v - row as f32 - 0.5).abs(),
        ];
        let colour = colours[(noise::hash(column, row, seed) & 7) as usize];
        let thread = fractal([x * 30.0, y * 30.0], footprint * 30.0, 2, seed);
        let off = (du.max(dv) - 0.5 + seam.0) * size;
        let cover = (0.5 + off / footprint).clamp(0.0, 1.0) * (seam.0 * 40.0).min(1.0);
        scale(mix(colour, seam.1, cover), 1.0 + 0.2 * thread)
    })
}

/// Pieces of all sizes over each other, as much in the world is: what is near hides what is far.
pub(super) fn pieces(random: &mut Random) -> Paint {
    let colours: [Colour; 8] = std::array::from_fn(|_| {
        let calm = random.chance(0.6);
        let colour = any_colour(random);
        let level = 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2];
        mix(colour, [level; 3], if calm { 0.7 } else { 0.0 })
    });
    let size = random.log_range(0.4, 1.2);
    let corners = random.pick(&[0.0, 0.0, 3.0, 5.0, 7.0]);
    let lit = [random.range(-1.0, 1.0), random.range(-1.0, 0.3)];
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let rough = fractal([x * 9.0, y * 9.0], footprint * 9.0, 3, seed ^ 21);
        let mut seen = [0.0; 3];
        // What the nearer pieces leave to see.
        let mut left = 1.0;
        for level in 0..5u32 {
            let unit = size * [0.08, 0.15, 0.28, 0.55, 1.0][level as usize];
            let at = [x / unit + 0.15 * rough, y / unit];
            let (near, next, bits) = noise::strewn(at, seed ^ level);
            let own = ((bits >> 3) & 255) as f32 / 255.0;
            if level < 4 && own > 0.55 {
                continue;
            }
            let radius = if level == 4 { 9.0 } else { 0.25 + 0.35 * own };
            let wave = if corners > 0.0 {
                0.12 * cos(corners * 6.0 * (at[0] + at[1] * own))
            } else {
                0.0
            };
            let inside = (radius - near - wave).min(if level == 4 { 9.0 } else { next - near });
            let cover = (0.5 + inside * unit / footprint).clamp(0.0, 1.0);
            if cover <= 0.0 {
                continue;
            }
            let colour = colours[((bits >> 11) & 7) as usize];
            let turn = lit[0] * (fract(own * 17.0) - 0.5) + lit[1] * (fract(own * 29.0) - 0.5);
            let round = if level == 4 { 0.0 } else { near / radius };
            let light = 1.0 + 0.8 * rough + 0.5 * turn - 0.4 * round * round;
            seen = along(seen, scale(colour, light.max(0.05)), left * cover);
            left *= 1.0 - cover;
            if left <= 0.01 {
                break;
            }
        }
        seen
    })
}
