//! The scenes, each 640 x 480 pixels.

use super::canvas::{
    Canvas, Colour, Point, around, ball, block, both, circle, ellipse, gradient, mix, noise, plain,
    polygon, regular, stroke, without,
};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;

const WHITE: Colour = [0.97, 0.97, 0.95];
const BLACK: Colour = [0.09, 0.09, 0.1];

/// A stop sign and a traffic light at a road.
pub(super) fn street() -> Canvas {
    let sky = gradient(
        [0.0, 0.0],
        [0.0, 330.0],
        [[0.42, 0.64, 0.9], [0.86, 0.92, 0.97]],
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT, sky);
    for (middle, size) in [
        ([120.0, 84.0], 1.0),
        ([520.0, 60.0], 0.8),
        ([330.0, 130.0], 0.6),
    ] {
        cloud(&mut canvas, middle, size);
    }
    // Hills, the meadow, the road with its kerb and its line.
    for (middle, radii, green) in [
        ([90.0, 350.0], [260.0, 84.0], [0.45, 0.58, 0.55]),
        ([560.0, 350.0], [300.0, 100.0], [0.4, 0.54, 0.5]),
        ([330.0, 360.0], [380.0, 62.0], [0.33, 0.5, 0.36]),
    ] {
        canvas.fill(ellipse(middle, radii), plain(green));
    }
    let meadow = gradient(
        [0.0, 330.0],
        [0.0, 420.0],
        [[0.42, 0.58, 0.28], [0.3, 0.47, 0.2]],
    );
    canvas.fill(block([-9.0, 330.0], [649.0, 499.0], 0.0), meadow);
    let asphalt = gradient(
        [0.0, 400.0],
        [0.0, 480.0],
        [[0.44, 0.44, 0.46], [0.3, 0.3, 0.32]],
    );
    canvas.fill(block([-9.0, 400.0], [649.0, 499.0], 0.0), asphalt);
    canvas.fill(
        block([-9.0, 396.0], [649.0, 403.0], 0.0),
        plain([0.75, 0.74, 0.72]),
    );
    for dash in 0..4 {
        let x = dash as f32 * 190.0 - 30.0;
        canvas.fill(
            polygon([
                [x, 446.0],
                [x + 100.0, 446.0],
                [x + 94.0, 454.0],
                [x - 8.0, 454.0],
            ]),
            plain(WHITE),
        );
    }
    stop_sign(&mut canvas, [220.0, 160.0], 96.0);
    traffic_light(&mut canvas, [490.0, 170.0]);
    canvas
}

fn cloud(canvas: &mut Canvas, [x, y]: Point, size: f32) {
    for puff in 0..7 {
        let chance = noise([puff, x as u32]);
        let at = (puff as f32 - 3.0) * 20.0 * size;
        let radius = (30.0 - (puff as f32 - 3.0).abs() * 5.0 + 8.0 * chance) * size;
        canvas.light(
            circle([x + at, y - radius * 0.3], radius),
            26.0 * size,
            0.75,
        );
    }
}

fn post(canvas: &mut Canvas, [x, y]: Point, width: f32) {
    let metal = gradient(
        [x - width, 0.0],
        [x + width, 0.0],
        [[0.82, 0.83, 0.85], [0.36, 0.37, 0.4]],
    );
    canvas.shade(ellipse([x + 22.0, 398.0], [40.0, 5.0]), 8.0, 0.35);
    canvas.fill(block([x - width, y], [x + width, 396.0], 2.0), metal);
}

fn stop_sign(canvas: &mut Canvas, [x, y]: Point, radius: f32) {
    post(canvas, [x, y], 6.0);
    let octagon = |radius| polygon(regular::<8>([x, y], radius, std::f32::consts::TAU / 16.0));
    let red = gradient(
        [x, y - radius],
        [x, y + radius],
        [[0.85, 0.11, 0.14], [0.68, 0.06, 0.09]],
    );
    canvas.fill(octagon(radius), plain(WHITE));
    canvas.fill(octagon(radius * 0.94), red);

    // STOP, of strokes and rings. A letter is 30 wide and 56 high.
    let (top, bottom, thick) = (y - 28.0, y + 28.0, 5.5);
    let ring = |middle: Point, radii: Point| {
        without(
            ellipse(middle, radii.map(|radius| radius + thick)),
            ellipse(middle, radii.map(|radius| radius - thick)),
        )
    };
    let mut letter = |shape: &dyn Fn(Point) -> f32| canvas.fill(shape, plain(WHITE));
    let [s, t, o, p] = [x - 57.0, x - 19.0, x + 19.0, x + 59.0];
    let upper = ring([s, top + 14.0], [12.0, 14.0]);
    let lower = ring([s, bottom - 14.0], [12.0, 14.0]);
    letter(&without(
        upper,
        block([s, top + 14.0], [s + 30.0, y - 5.5], 0.0),
    ));
    letter(&without(
        lower,
        block([s - 30.0, y + 5.5], [s, bottom - 14.0], 0.0),
    ));
    letter(&block([t - 17.0, top - 5.5], [t + 17.0, top + 5.5], 0.0));
    letter(&block([t - 5.5, top], [t + 5.5, bottom + 5.5], 0.0));
    letter(&ring([o, y], [12.0, 28.0]));
    letter(&block([p - 17.0, top - 5.5], [p - 6.0, bottom + 5.5], 0.0));
    let bow = ring([p - 2.0, top + 15.0], [14.0, 15.0]);
    letter(&both(
        bow,
        block([p - 12.0, top - 9.0], [p + 30.0, bottom], 0.0),
    ));
}

fn traffic_light(canvas: &mut Canvas, [x, y]: Point) {
    post(canvas, [x, y], 5.0);
    canvas.fill(
        block([x - 34.0, y - 86.0], [x + 34.0, y + 86.0], 12.0),
        gradient([x - 34.0, y], [x + 34.0, y], [[0.2, 0.2, 0.21], BLACK]),
    );
    let lamps = [
        (-54.0, [1.0, 0.2, 0.15]),
        (0.0, [0.3, 0.22, 0.06]),
        (54.0, [0.06, 0.24, 0.13]),
    ];
    for (at, colour) in lamps {
        let middle = [x, y + at];
        canvas.fill(circle(middle, 24.0), plain([0.03, 0.03, 0.03]));
        canvas.fill(circle(middle, 21.0), ball(middle, 34.0, colour));
    }
    canvas.light(circle([x, y - 54.0], 7.0), 18.0, 0.6);
}

/// A clock on a wall above a shelf with a vase.
pub(super) fn clock() -> Canvas {
    let wall = gradient(
        [0.0, 0.0],
        [640.0, 480.0],
        [[0.86, 0.83, 0.76], [0.7, 0.67, 0.61]],
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT, wall);
    let (middle, radius) = ([230.0, 190.0], 140.0);
    canvas.shade(circle([248.0, 212.0], radius), 36.0, 0.45);
    let frame = gradient(
        [120.0, 60.0],
        [340.0, 330.0],
        [[0.36, 0.24, 0.16], [0.16, 0.1, 0.07]],
    );
    canvas.fill(circle(middle, radius), frame);
    canvas.fill(
        circle(middle, radius - 16.0),
        gradient(
            [130.0, 90.0],
            [330.0, 300.0],
            [[0.99, 0.98, 0.95], [0.88, 0.87, 0.84]],
        ),
    );
    for minute in 0..60 {
        let angle = minute as f32 / 60.0 * std::f32::consts::TAU;
        let (inner, thick) = match minute % 15 {
            0 => (92.0, 4.0),
            _ if minute % 5 == 0 => (99.0, 2.6),
            _ => (111.0, 0.9),
        };
        let tick = stroke(
            around(middle, inner, angle),
            around(middle, 115.0, angle),
            thick,
        );
        canvas.fill(tick, plain(BLACK));
    }
    // Ten past ten.
    for (hour, reach, thick, colour) in [
        (10.17, 62.0, 5.0, BLACK),
        (2.0, 96.0, 3.6, BLACK),
        (7.1, 100.0, 1.4, [0.75, 0.12, 0.1]),
    ] {
        let angle = hour / 12.0 * std::f32::consts::TAU;
        let hand = stroke(
            around(middle, -18.0, angle),
            around(middle, reach, angle),
            thick,
        );
        canvas.fill(hand, plain(colour));
    }
    canvas.fill(circle(middle, 8.0), ball(middle, 12.0, [0.75, 0.12, 0.1]));

    let board = gradient(
        [0.0, 420.0],
        [0.0, 446.0],
        [[0.62, 0.43, 0.27], [0.42, 0.27, 0.16]],
    );
    canvas.shade(block([-20.0, 430.0], [660.0, 462.0], 4.0), 24.0, 0.4);
    canvas.fill(block([-20.0, 420.0], [660.0, 446.0], 2.0), board);
    books(&mut canvas, 420.0);
    vase(&mut canvas, [500.0, 420.0]);
    canvas
}

fn books(canvas: &mut Canvas, ground: f32) {
    let mut x = 60.0;
    for book in 0..7 {
        let (thick, high) = (
            16.0 + 14.0 * noise([book, 2]),
            62.0 + 30.0 * noise([book, 3]),
        );
        let colour = mix(
            [[0.55, 0.16, 0.15], [0.15, 0.3, 0.45], [0.2, 0.38, 0.28]][book as usize % 3],
            [0.8, 0.72, 0.5],
            noise([book, 4]) * 0.6,
        );
        let back = gradient(
            [x, 0.0],
            [x + thick, 0.0],
            [colour, mix(colour, BLACK, 0.35)],
        );
        canvas.fill(block([x, ground - high], [x + thick, ground], 2.0), back);
        for band in [0.18, 0.8] {
            let y = ground - high * band;
            canvas.fill(
                block([x, y], [x + thick, y + 3.0], 0.0),
                plain([0.85, 0.74, 0.45]),
            );
        }
        x += thick + 1.0;
    }
}

fn vase(canvas: &mut Canvas, [x, ground]: Point) {
    canvas.shade(ellipse([x + 24.0, ground], [60.0, 6.0]), 10.0, 0.4);
    // Tulips.
    for (lean, high, colour) in [
        (-66.0, 250.0, [0.86, 0.2, 0.3]),
        (-22.0, 290.0, [0.95, 0.72, 0.2]),
        (24.0, 272.0, [0.88, 0.3, 0.5]),
        (64.0, 236.0, [0.93, 0.5, 0.2]),
    ] {
        let [tip_x, tip_y] = [x + lean, ground - high];
        canvas.fill(
            stroke([x + lean * 0.2, ground - 120.0], [tip_x, tip_y], 3.0),
            plain([0.25, 0.46, 0.2]),
        );
        let [leaf_x, leaf_y] = [x + lean * 0.6, ground - 78.0 - high * 0.35];
        canvas.fill(
            both(
                circle([leaf_x - 40.0, leaf_y], 46.0),
                circle([leaf_x + 34.0, leaf_y + 8.0], 46.0),
            ),
            gradient(
                [0.0, leaf_y - 40.0],
                [0.0, leaf_y + 40.0],
                [[0.36, 0.6, 0.26], [0.18, 0.38, 0.16]],
            ),
        );
        for petal in [-11.0, 11.0, 0.0] {
            let side = |bend| circle([tip_x + petal + bend, tip_y - petal.abs() * 0.3], 36.0);
            let deep = [tip_x + petal * 0.5, tip_y + 30.0];
            let pale = mix(colour, WHITE, 0.3);
            canvas.fill(
                both(side(-25.0), side(25.0)),
                gradient(
                    deep,
                    [tip_x + petal, tip_y - 26.0],
                    [mix(colour, BLACK, 0.2), pale],
                ),
            );
        }
    }
    let glaze = |middle, radius| ball(middle, radius, [0.3, 0.52, 0.66]);
    canvas.fill(
        ellipse([x, ground - 60.0], [52.0, 60.0]),
        glaze([x, ground - 66.0], 84.0),
    );
    canvas.fill(
        block([x - 24.0, ground - 142.0], [x + 24.0, ground - 100.0], 6.0),
        glaze([x, ground - 100.0], 62.0),
    );
    canvas.fill(
        ellipse([x, ground - 142.0], [32.0, 7.0]),
        plain([0.2, 0.38, 0.5]),
    );
    canvas.fill(
        ellipse([x, ground - 141.0], [25.0, 4.0]),
        plain([0.08, 0.14, 0.18]),
    );
}

/// Kites and a sailing boat at the sea.
pub(super) fn beach() -> Canvas {
    let sky = gradient(
        [0.0, 0.0],
        [0.0, 320.0],
        [[0.24, 0.5, 0.85], [0.78, 0.9, 0.97]],
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT, sky);
    cloud(&mut canvas, [560.0, 230.0], 0.9);
    cloud(&mut canvas, [90.0, 240.0], 0.7);
    let sea = gradient(
        [0.0, 320.0],
        [0.0, 400.0],
        [[0.1, 0.36, 0.55], [0.3, 0.64, 0.7]],
    );
    canvas.fill(block([-9.0, 320.0], [649.0, 499.0], 0.0), sea);
    for wave in 0..40 {
        let (x, y) = (noise([wave, 5]) * 640.0, 326.0 + noise([wave, 6]) * 66.0);
        canvas.light(ellipse([x, y], [8.0 + (y - 320.0) * 0.5, 1.2]), 2.0, 0.35);
    }
    let shore = |[x, y]: Point| 396.0 + 7.0 * (x / 60.0).sin() - y;
    canvas.light(move |point| shore(point) - 6.0, 5.0, 0.7);
    let sand = gradient(
        [0.0, 396.0],
        [0.0, 480.0],
        [[0.86, 0.77, 0.58], [0.93, 0.85, 0.68]],
    );
    canvas.fill(shore, sand);

    sailing_boat(&mut canvas, [430.0, 340.0], 1.1);
    kite(
        &mut canvas,
        [150.0, 96.0],
        70.0,
        0.35,
        [[0.9, 0.15, 0.2], [0.98, 0.8, 0.1]],
    );
    kite(
        &mut canvas,
        [350.0, 84.0],
        50.0,
        -0.3,
        [[0.1, 0.45, 0.85], [0.95, 0.95, 0.95]],
    );
    kite(
        &mut canvas,
        [560.0, 90.0],
        38.0,
        0.25,
        [[0.15, 0.6, 0.3], [0.98, 0.6, 0.1]],
    );
    canvas
}

fn kite(canvas: &mut Canvas, middle: Point, size: f32, turn: f32, colours: [Colour; 2]) {
    let corner = |reach: f32, angle: f32| around(middle, size * reach, turn + angle);
    let quarter = std::f32::consts::FRAC_PI_2;
    let [top, right, bottom, left] = [
        corner(0.8, 0.0),
        corner(0.68, quarter),
        corner(1.3, 2.0 * quarter),
        corner(0.68, 3.0 * quarter),
    ];
    // The tail, with bows on it.
    let mut from = bottom;
    for knot in 1..6 {
        let swing = if knot % 2 == 0 { 0.25 } else { -0.25 };
        let to = around(from, size * 0.26, turn + std::f32::consts::PI + swing * 2.4);
        canvas.fill(stroke(from, to, 1.3), plain([0.3, 0.3, 0.3]));
        let colour = colours[knot % 2];
        for side in [-1.0, 1.0] {
            let wing = around(to, size * 0.1, turn + side * 1.4);
            canvas.fill(stroke(to, wing, size * 0.035), plain(colour));
        }
        from = to;
    }
    for (index, [a, b]) in [[top, right], [right, bottom], [bottom, left], [left, top]]
        .into_iter()
        .enumerate()
    {
        let colour = colours[index % 2];
        let light = mix(colour, WHITE, 0.15);
        canvas.fill(
            polygon([middle, a, b]),
            gradient(top, bottom, [light, mix(colour, BLACK, 0.12)]),
        );
    }
    for [a, b] in [[top, bottom], [left, right]] {
        canvas.fill(stroke(a, b, 1.2), plain([0.25, 0.2, 0.15]));
    }
}

fn sailing_boat(canvas: &mut Canvas, [x, y]: Point, size: f32) {
    let at = |dx: f32, dy: f32| [x + dx * size, y + dy * size];
    canvas.light(ellipse(at(0.0, 16.0), [70.0 * size, 4.0 * size]), 6.0, 0.5);
    canvas.fill(
        polygon([
            at(-62.0, -4.0),
            at(66.0, -4.0),
            at(46.0, 15.0),
            at(-46.0, 15.0),
        ]),
        gradient(
            at(0.0, -4.0),
            at(0.0, 15.0),
            [[0.96, 0.96, 0.95], [0.62, 0.2, 0.18]],
        ),
    );
    canvas.fill(
        stroke(at(0.0, -4.0), at(0.0, -128.0), 1.8 * size),
        plain([0.4, 0.3, 0.22]),
    );
    let cloth = |from, to| gradient(from, to, [[1.0, 1.0, 0.99], [0.8, 0.82, 0.86]]);
    canvas.fill(
        polygon([at(4.0, -124.0), at(4.0, -12.0), at(58.0, -12.0)]),
        cloth(at(0.0, -60.0), at(60.0, -30.0)),
    );
    canvas.fill(
        polygon([at(-4.0, -112.0), at(-4.0, -12.0), at(-48.0, -12.0)]),
        cloth(at(-48.0, -40.0), at(0.0, -40.0)),
    );
}

/// Oranges, apples and bananas on a table.
pub(super) fn fruit() -> Canvas {
    let wall = gradient(
        [0.0, 0.0],
        [0.0, 250.0],
        [[0.52, 0.58, 0.6], [0.72, 0.75, 0.74]],
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT, wall);
    let wood = |[x, y]: Point| {
        let grain = (y * 0.7 + 8.0 * (x / 90.0).sin() + 3.0 * (x / 23.0).sin()).sin();
        let light = mix([0.66, 0.47, 0.3], [0.5, 0.33, 0.2], (y - 250.0) / 230.0);
        mix(light, [0.38, 0.24, 0.14], 0.12 + 0.12 * grain)
    };
    canvas.fill(block([-9.0, 250.0], [649.0, 499.0], 0.0), wood);
    canvas.shade(block([-9.0, 244.0], [649.0, 252.0], 0.0), 10.0, 0.4);

    banana(&mut canvas, [430.0, 216.0], 120.0);
    for (middle, radius) in [
        ([120.0, 300.0], 62.0),
        ([226.0, 322.0], 66.0),
        ([164.0, 384.0], 68.0),
    ] {
        orange(&mut canvas, middle, radius);
    }
    apple(&mut canvas, [350.0, 380.0], 62.0, [0.8, 0.12, 0.13]);
    apple(&mut canvas, [520.0, 390.0], 60.0, [0.52, 0.68, 0.16]);
    canvas
}

fn orange(canvas: &mut Canvas, [x, y]: Point, radius: f32) {
    canvas.shade(
        ellipse(
            [x + radius * 0.35, y + radius * 0.85],
            [radius * 1.1, radius * 0.3],
        ),
        24.0,
        0.5,
    );
    let skin = ball([x, y], radius, [1.0, 0.55, 0.08]);
    canvas.fill(circle([x, y], radius), move |point| {
        let pore = noise(point.map(|at| (at / 2.5) as u32));
        mix(
            skin(point),
            [0.7, 0.32, 0.02],
            if pore > 0.86 { 0.3 } else { 0.0 },
        )
    });
    canvas.fill(
        circle([x + radius * 0.1, y - radius * 0.5], radius * 0.07),
        plain([0.32, 0.4, 0.12]),
    );
}

fn apple(canvas: &mut Canvas, [x, y]: Point, radius: f32, colour: Colour) {
    canvas.shade(
        ellipse(
            [x + radius * 0.35, y + radius * 0.85],
            [radius * 1.1, radius * 0.3],
        ),
        24.0,
        0.5,
    );
    let half = radius * 0.3;
    for side in [-half, half] {
        let middle = [x + side, y];
        canvas.fill(
            ellipse(middle, [radius * 0.78, radius]),
            ball([x, y - 4.0], radius * 1.25, colour),
        );
    }
    let [dent_x, dent_y] = [x, y - radius * 0.82];
    canvas.shade(
        ellipse([dent_x, dent_y], [radius * 0.4, radius * 0.16]),
        14.0,
        0.55,
    );
    canvas.fill(
        stroke(
            [dent_x, dent_y + 4.0],
            [dent_x + 10.0, dent_y - radius * 0.42],
            3.2,
        ),
        plain([0.3, 0.2, 0.1]),
    );
    let [leaf_x, leaf_y] = [dent_x + 34.0, dent_y - radius * 0.3];
    canvas.fill(
        both(
            circle([leaf_x, leaf_y - 24.0], 34.0),
            circle([leaf_x, leaf_y + 24.0], 34.0),
        ),
        gradient(
            [leaf_x - 24.0, leaf_y],
            [leaf_x + 24.0, leaf_y],
            [[0.2, 0.42, 0.14], [0.4, 0.62, 0.24]],
        ),
    );
}

fn banana(canvas: &mut Canvas, [x, y]: Point, size: f32) {
    canvas.shade(
        ellipse([x + 10.0, y + size * 0.98], [size * 0.95, size * 0.16]),
        26.0,
        0.5,
    );
    for (offset, shade) in [(-26.0, 0.12), (0.0, 0.0)] {
        let crescent = without(
            circle([x, y + offset], size),
            circle([x - size * 0.08, y + offset - size * 0.42], size * 1.02),
        );
        let skin = gradient(
            [x, y + offset + size * 0.45],
            [x, y + offset + size],
            [[0.99, 0.86, 0.25], [0.84, 0.62, 0.1]],
        );
        canvas.fill(crescent, move |point| mix(skin(point), BLACK, shade));
        // Where the two circles meet.
        for [across, down] in [[-0.98, 0.02], [0.925, -0.33]] {
            let tip = [x + across * size, y + offset + down * size];
            canvas.fill(circle(tip, 6.0), plain([0.32, 0.24, 0.1]));
        }
    }
}
