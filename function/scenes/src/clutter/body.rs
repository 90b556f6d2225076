//! Hands, arms and people.

use super::pictures::any_colour;
use crate::{
    camera::Frame,
    compose::in_view,
    layer::{Layer, Paint, Role},
    maths::{Colour, Point, TAU, fract, hsv, mix, polar, scale},
    noise::fractal,
    random::Random,
    rooms::Room,
    shapes::{Limb, Shape},
    stage::Stage,
};

pub(super) fn skin(random: &mut Random) -> Colour {
    let dark = random.unit();
    let value = 0.95 - 0.62 * dark;
    hsv(
        random.range(0.035, 0.075),
        random.range(0.28, 0.42) + 0.2 * dark,
        value,
    )
}

/// An arm from the left to a hand about the origin, and where its sleeve ends.
pub(super) fn arm(random: &mut Random) -> (Shape, f32) {
    let palm = random.range(0.13, 0.16);
    let elbow = [-1.9, random.bell() * 0.4];
    let mut limbs = vec![
        Limb {
            from: [-9.0, elbow[1] + random.bell() * 3.0],
            to: elbow,
            radii: [0.3, 0.22],
        },
        Limb {
            from: elbow,
            to: [-0.2, 0.0],
            radii: [0.21, 0.1],
        },
        Limb {
            from: [-0.12, 0.0],
            to: [0.08, 0.0],
            radii: [palm, palm],
        },
    ];
    let spread = random.range(0.08, 0.22);
    let pointing = random.chance(0.4);
    for finger in 0..4 {
        let angle = (finger as f32 - 1.5) * spread;
        let root = [0.12, (finger as f32 - 1.5) * 0.078];
        let long = if pointing && finger != 0 {
            random.range(0.06, 0.12)
        } else {
            random.range(0.26, 0.36)
        };
        let [x, y] = polar(angle);
        let middle = [root[0] + x * long * 0.55, root[1] + y * long * 0.55];
        let [x, y] = polar(angle + random.bell() * 0.25);
        let tip = [middle[0] + x * long * 0.5, middle[1] + y * long * 0.5];
        limbs.push(Limb {
            from: root,
            to: middle,
            radii: [0.045, 0.042],
        });
        limbs.push(Limb {
            from: middle,
            to: tip,
            radii: [0.042, 0.034],
        });
    }
    let side = random.sign();
    let knuckle = [0.06, side * 0.24];
    limbs.push(Limb {
        from: [-0.1, side * 0.08],
        to: knuckle,
        radii: [0.07, 0.05],
    });
    limbs.push(Limb {
        from: knuckle,
        to: [0.22, side * random.range(0.22, 0.3)],
        radii: [0.05, 0.036],
    });
    (Shape::limbs(limbs, 0.035), random.range(-0.9, -0.25))
}

/// A hand that points or holds, from a side of the picture.
pub(super) fn hand(stage: &mut Stage, room: Room) {
    let place = stage.random.point([0.2, 0.2, 0.8, 0.8]);
    let Some(at) = in_view(stage, place) else {
        return;
    };
    let height = crate::maths::dot3(stage.camera.position, Frame::MAIN.normal)
        .abs()
        .max(0.1);
    if height > 1.7 {
        return;
    }
    let size = (0.26 * stage.random.range(0.9, 1.15)).min(0.8 * height);
    let turn = match room {
        // From below or from a side.
        Room::Wall => -TAU / 4.0 + stage.random.bell() * 1.4,
        Room::Table => -TAU / 4.0 + stage.random.bell() * 1.1,
    };
    let lift = stage.random.log_range(0.01, 0.2) * size;
    let frame = Frame::MAIN.at(at, turn, size).lifted(lift);
    let (shape, sleeve) = arm(&mut stage.random);
    let skin = skin(&mut stage.random);
    let cloth = any_colour(&mut stage.random);
    let bare = stage.random.chance(0.3);
    let seed = stage.random.seed();
    let paint: Paint = Box::new(move |[x, y], footprint| {
        if x < sleeve && !bare {
            let fold = fractal([x * 5.0, y * 9.0], footprint * 9.0, 3, seed);
            return scale(cloth, 1.0 + 0.5 * fold);
        }
        let blotch = fractal([x * 9.0, y * 9.0], footprint * 9.0, 3, seed);
        scale(
            mix(
                skin,
                [skin[0], skin[1] * 0.8, skin[2] * 0.75],
                (0.5 + blotch).clamp(0.0, 1.0),
            ),
            1.0 + 0.1 * blotch,
        )
    });
    let strength = stage.light.shadow;
    let soft = stage.light.softness;
    let layer = Layer::new(frame, shape, Role::Cover, paint).relief(0.075);
    let shadow = lift / size + 0.06;
    stage.add(layer.shadow(shadow, 0.05 + shadow * soft, strength));
}

/// The limbs of somebody who stands, of height 1 about the origin, and where the clothes part.
pub(super) fn figure(random: &mut Random) -> (Vec<Limb>, [f32; 2]) {
    let wide = random.range(0.075, 0.12);
    let head = [random.bell() * 0.03, -0.43];
    let mut limbs = vec![
        Limb {
            from: head,
            to: [head[0], head[1] + 0.03],
            radii: [0.055, 0.048],
        },
        Limb {
            from: [0.0, -0.36],
            to: [0.0, -0.3],
            radii: [0.025, 0.04],
        },
        Limb {
            from: [0.0, -0.27],
            to: [0.0, -0.02],
            radii: [wide, wide * random.range(0.8, 1.1)],
        },
    ];
    for side in [-1.0, 1.0] {
        let shoulder = [side * wide * 1.1, -0.29];
        let elbow = [
            shoulder[0] + side * random.range(0.0, 0.12),
            shoulder[1] + random.range(-0.02, 0.16),
        ];
        let hand = [
            elbow[0] + random.bell() * 0.15,
            elbow[1] + random.range(-0.14, 0.16),
        ];
        limbs.push(Limb {
            from: shoulder,
            to: elbow,
            radii: [0.042, 0.034],
        });
        limbs.push(Limb {
            from: elbow,
            to: hand,
            radii: [0.034, 0.024],
        });
        let knee = [side * (0.05 + random.unit() * 0.05), 0.22];
        let foot = [knee[0] + random.bell() * 0.08, 0.48];
        limbs.push(Limb {
            from: [side * 0.05, -0.01],
            to: knee,
            radii: [0.065, 0.045],
        });
        limbs.push(Limb {
            from: knee,
            to: foot,
            radii: [0.045, 0.035],
        });
    }
    (limbs, [-0.335, 0.0])
}

/// Clothes and skin by height.
pub(super) fn clothes(random: &mut Random, [neck, waist]: [f32; 2]) -> Paint {
    let (skin, top, low) = (skin(random), any_colour(random), any_colour(random));
    let hair = hsv(
        random.range(0.03, 0.12),
        random.range(0.1, 0.7),
        random.range(0.05, 0.65),
    );
    let stripes = if random.chance(0.3) {
        random.range(10.0, 40.0)
    } else {
        0.0
    };
    let other = any_colour(random);
    let seed = random.seed();
    Box::new(move |[x, y]: Point, footprint| {
        let fold = fractal([x * 12.0, y * 9.0], footprint * 12.0, 3, seed);
        let base = if y < neck {
            if y < neck - 0.1 { hair } else { skin }
        } else if y < waist {
            if stripes > 0.0 && fract(y * stripes) < 0.4 {
                other
            } else {
                top
            }
        } else {
            low
        };
        scale(base, 1.0 + 0.55 * fold)
    })
}

/// Somebody before the wall, mostly cut by the picture's edge.
pub(super) fn person(stage: &mut Stage) {
    let distance = crate::maths::dot3(stage.camera.position, stage.camera.position).sqrt();
    let facing = stage
        .camera
        .facing(distance * stage.random.range(0.4, 0.85));
    let unit = facing.unit();
    if unit < 0.7 {
        return;
    }
    let at = [
        stage.random.sign() * stage.random.range(0.2, 0.8),
        stage.random.range(0.0, 0.7),
    ];
    // As tall as two boards and a bit.
    let size = stage.random.range(2.0, 2.6) / unit;
    let (limbs, parts) = figure(&mut stage.random);
    let paint = clothes(&mut stage.random, parts);
    let frame = facing.at(at, stage.random.bell() * 0.1, size);
    let soft = stage.random.range(0.0, 0.012);
    stage.add(
        Layer::new(frame, Shape::limbs(limbs, 0.02), Role::Cover, paint)
            .relief(0.06)
            .soft(soft),
    );
}
