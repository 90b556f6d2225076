//! Walls, floors, tables and cloth, by formulas. Which formula a family has, the other does not.

mod hard;
mod soft;

use crate::{
    layer::Paint,
    maths::{Colour, Point, hsv, mix, polar},
    random::Random,
    scene::Family,
};

/// What a ground is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Wall,
    Table,
    Cloth,
}

/// A ground's formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plaster,
    Brick,
    Planks,
    Concrete,
    Diamonds,
    Carpet,
    Stripes,
    Patches,
    Prints,
    Slabs,
    Leaves,
    Bokeh,
    Roughcast,
    Tiles,
    Parquet,
    Marble,
    Quilt,
    Woven,
    Dots,
    Grass,
    Terrazzo,
    Waves,
}

/// A family's grounds for a use, and how often each.
pub(crate) fn kinds(family: Family, use_: Use) -> &'static [(Kind, f32)] {
    match (family, use_) {
        (Family::Training, Use::Wall) => &[
            (Kind::Plaster, 4.0),
            (Kind::Brick, 1.0),
            (Kind::Planks, 0.8),
            (Kind::Concrete, 1.2),
            (Kind::Stripes, 0.8),
            (Kind::Patches, 0.25),
            (Kind::Prints, 0.8),
            (Kind::Slabs, 0.8),
        ],
        (Family::Training, Use::Table) => &[
            (Kind::Planks, 3.0),
            (Kind::Plaster, 1.5),
            (Kind::Concrete, 1.0),
            (Kind::Carpet, 0.8),
            (Kind::Patches, 0.3),
            (Kind::Prints, 0.4),
            (Kind::Slabs, 0.6),
        ],
        (Family::Training, Use::Cloth) => &[
            (Kind::Diamonds, 3.0),
            (Kind::Carpet, 1.5),
            (Kind::Stripes, 1.0),
            (Kind::Patches, 0.5),
            (Kind::Prints, 1.2),
            (Kind::Leaves, 1.0),
            (Kind::Bokeh, 0.5),
        ],
        (Family::HeldOut, Use::Wall) => &[
            (Kind::Roughcast, 4.0),
            (Kind::Tiles, 1.0),
            (Kind::Dots, 0.7),
            (Kind::Marble, 0.6),
            (Kind::Waves, 0.7),
        ],
        (Family::HeldOut, Use::Table) => &[
            (Kind::Parquet, 3.0),
            (Kind::Roughcast, 1.0),
            (Kind::Marble, 1.0),
            (Kind::Tiles, 0.6),
            (Kind::Terrazzo, 1.0),
        ],
        (Family::HeldOut, Use::Cloth) => &[
            (Kind::Quilt, 3.0),
            (Kind::Woven, 2.0),
            (Kind::Dots, 0.8),
            (Kind::Grass, 1.0),
            (Kind::Waves, 0.8),
        ],
    }
}

/// A ground in units of a board's height.
pub(crate) fn random(random: &mut Random, family: Family, use_: Use) -> Paint {
    let kinds = kinds(family, use_);
    let weights: Vec<f32> = kinds.iter().map(|kind| kind.1).collect();
    let kind = kinds[random.weighted(&weights)].0;
    let colours = colours(random, use_);
    of(kind, random, colours)
}

fn of(kind: Kind, random: &mut Random, colours: [Colour; 3]) -> Paint {
    match kind {
        Kind::Plaster => hard::plaster(random, colours),
        Kind::Roughcast => hard::roughcast(random, colours),
        Kind::Brick => hard::brick(random, colours),
        Kind::Tiles => hard::tiles(random, colours),
        Kind::Planks => hard::planks(random),
        Kind::Parquet => hard::parquet(random),
        Kind::Concrete => hard::concrete(random, colours),
        Kind::Marble => hard::marble(random, colours),
        Kind::Terrazzo => hard::terrazzo(random, colours),
        Kind::Diamonds => soft::diamonds(random, colours),
        Kind::Quilt => soft::quilt(random, colours),
        Kind::Carpet => soft::carpet(random, colours),
        Kind::Woven => soft::woven(random, colours),
        Kind::Stripes => soft::stripes(random, colours),
        Kind::Waves => soft::waves(random, colours),
        Kind::Patches => soft::patches(random, colours),
        Kind::Prints => soft::prints(random, colours),
        Kind::Slabs => hard::slabs(random, colours),
        Kind::Dots => soft::dots(random, colours),
        Kind::Leaves => soft::leaves(random),
        Kind::Grass => soft::grass(random),
        Kind::Bokeh => soft::bokeh(random),
    }
}

/// A main colour and two that go with it. Most rooms are pale and grey, some are not.
fn colours(random: &mut Random, use_: Use) -> [Colour; 3] {
    let hue = random.unit();
    let (saturation, value) = match use_ {
        Use::Wall => match random.count(0, 9) {
            0..5 => (random.range(0.0, 0.1), random.range(0.72, 0.97)),
            5..7 => (random.range(0.05, 0.3), random.range(0.5, 0.9)),
            7 => (random.range(0.0, 0.15), random.range(0.2, 0.5)),
            _ => (random.range(0.3, 0.8), random.range(0.3, 0.9)),
        },
        Use::Table => match random.count(0, 9) {
            0..5 => (random.range(0.0, 0.12), random.range(0.3, 0.95)),
            5..8 => (random.range(0.05, 0.4), random.range(0.3, 0.8)),
            _ => (random.range(0.3, 0.8), random.range(0.3, 0.9)),
        },
        Use::Cloth => match random.count(0, 9) {
            0..5 => (random.range(0.0, 0.3), random.range(0.1, 0.35)),
            5..7 => (random.range(0.1, 0.5), random.range(0.3, 0.7)),
            _ => (random.range(0.3, 0.85), random.range(0.3, 0.95)),
        },
    };
    let hue = if random.chance(0.5) {
        random.range(0.05, 0.16)
    } else {
        hue
    };
    let base = hsv(hue, saturation, value);
    let near = hsv(
        hue + random.bell() * 0.06,
        saturation * random.range(0.6, 1.4),
        value * random.range(0.7, 1.05),
    );
    let other = hsv(
        random.unit(),
        (saturation + 0.1) * random.range(0.5, 1.4),
        random.range(0.25, 0.95),
    );
    [base, near, mix(near, other, random.range(0.2, 1.0))]
}

/// Two colours far from each other.
fn loud(random: &mut Random) -> Colour {
    hsv(
        random.unit(),
        random.range(0.35, 0.8),
        random.range(0.35, 0.9),
    )
}

/// A turn for grounds that have directions: mostly along the axes.
fn direction(random: &mut Random) -> f32 {
    let quarters = random.count(0, 1) as f32 * crate::maths::TAU / 4.0;
    match random.count(0, 3) {
        0..2 => quarters,
        2 => quarters + random.bell() * 0.2,
        _ => random.range(0.0, crate::maths::TAU),
    }
}

/// A grid's axes and the length of its unit.
#[derive(Clone, Copy)]
struct Axes {
    across: Point,
}

impl Axes {
    fn new(turn: f32, size: f32) -> Self {
        let [c, s] = polar(turn);
        Self {
            across: [c / size, s / size],
        }
    }

    fn at(&self, [x, y]: Point) -> Point {
        let [c, s] = self.across;
        [x * c - y * s, x * s + y * c]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_on_different_grounds() {
        let all = |family| {
            let uses = [Use::Wall, Use::Table, Use::Cloth];
            let each = uses.map(|use_| kinds(family, use_));
            each.concat()
                .iter()
                .map(|kind| kind.0)
                .collect::<Vec<Kind>>()
        };
        let training = all(Family::Training);
        assert!(
            all(Family::HeldOut)
                .iter()
                .all(|kind| !training.contains(kind))
        );
    }
}
