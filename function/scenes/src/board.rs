//! Wow boards.

pub(crate) mod back;
pub(crate) mod front;

use crate::{
    camera::Frame,
    layer::{Layer, Paint, Role},
    maths::{Colour, Point, grey, scale},
    scene::Class,
    shapes::{self, Shape},
    stage::Stage,
};

/// A board that lies or hangs somewhere. Its frame's unit is the board's height.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) frame: Frame,
    /// Half its sides in that unit.
    pub(crate) half: Point,
    pub(crate) id: u16,
}

/// The hole for a hand.
#[derive(Clone, Copy)]
struct Slot {
    at: Point,
    half: Point,
    /// What is seen through it.
    colour: Colour,
}

impl Slot {
    fn random(stage: &mut Stage, width: f32) -> Self {
        let random = &mut stage.random;
        let high = random.range(0.011, 0.022);
        let level = random.pick(&[0.12, 0.3, 0.6, 0.8]);
        Self {
            at: [random.bell() * 0.03, random.range(-0.465, -0.42)],
            half: [width * random.range(0.07, 0.14), high],
            colour: scale(grey(level * random.range(0.8, 1.1)), 1.0),
        }
    }

    /// The hole over what is around it: darker at the rim that the board's thickness shades.
    fn over(&self, at: Point, footprint: f32, below: Colour) -> Colour {
        let [x, y] = [at[0] - self.at[0], at[1] - self.at[1]];
        let distance = shapes::block([x, y], self.half, self.half[1]);
        let cover = (0.5 - distance / footprint).clamp(0.0, 1.0);
        if cover <= 0.0 {
            return below;
        }
        let rim = 0.45 + 0.55 * ((y + self.half[1]) / (1.4 * self.half[1])).clamp(0.0, 1.0);
        crate::maths::mix(below, scale(self.colour, rim), cover)
    }
}

/// What the boards of a side are like.
struct Side {
    class: Class,
    /// How often they are as wide as the first of `widths` says.
    usual: f32,
    /// Least and greatest, in units of their height: of the usual ones, and of others.
    widths: [[f32; 2]; 2],
    corners: [f32; 2],
    gloss: [f32; 2],
    paint: fn(&mut Stage, Point) -> Paint,
}

impl Side {
    /// Puts one on a surface, whose unit is the board's height.
    fn put(&self, stage: &mut Stage, ground: &Frame) -> Placed {
        let [usual, others] = self.widths;
        let [least, greatest] = if stage.random.chance(self.usual) {
            usual
        } else {
            others
        };
        let half = [0.5 * stage.random.range(least, greatest), 0.5];
        let role = stage.object(self.class, None, ground, half);
        let paint = (self.paint)(stage, half);
        let [least, greatest] = self.corners;
        let round = stage.random.range(least, greatest);
        let [least, greatest] = self.gloss;
        let gloss = if stage.random.chance(0.6) {
            stage.random.range(least, greatest)
        } else {
            0.05
        };
        Placed {
            frame: put(stage, ground, paint, role, [half, [round, gloss]]),
            half,
            id: (stage.made.len() - 1) as u16,
        }
    }
}

/// Puts the board's edge and its face with this paint.
fn put(
    stage: &mut Stage,
    ground: &Frame,
    paint: Paint,
    role: Role,
    [half, [round, gloss]]: [Point; 2],
) -> Frame {
    let thick = stage.random.log_range(0.003, 0.02);
    let lift = if stage.random.chance(0.3) {
        stage.random.log_range(0.004, 0.05)
    } else {
        0.002
    };
    let unit = ground.unit();
    let edge = grey(stage.random.range(0.5, 0.9));
    let soft = stage.light.softness;
    let strength = stage.light.shadow;
    for part in 0..3 {
        let frame = ground.lifted((lift + thick * part as f32 / 3.0) * unit);
        let layer = Layer::new(
            frame,
            Shape::block(half, round),
            role,
            crate::layer::plain(edge),
        );
        stage.add(if part == 0 {
            let reach = lift + thick;
            layer.shadow(reach, 0.012 + 2.0 * reach * soft, 0.9 * strength)
        } else {
            layer
        });
    }
    let frame = ground.lifted((lift + thick) * unit);
    stage.add(Layer::new(frame, Shape::block(half, round), role, paint).gloss(gloss));
    frame
}
