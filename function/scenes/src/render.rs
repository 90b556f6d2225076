//! Layers into pixels.
//!
//! Every layer knows its plane, so each pixel is traced back to the plane's coordinates, where the layer's shape is
//! a distance and its paint a formula. A pixel belongs to an object if its centre does.

mod view;

use crate::{
    camera::{Camera, Frame},
    layer::{Layer, Role},
    light::Light,
    maths::{Colour, Point},
};

use self::view::{Part, Prepared};

/// What no object covers.
pub(crate) const NOTHING: u16 = u16::MAX;

/// A picture in linear light, and whose each pixel is.
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
    /// The note on top, or what else is to be found and is no board.
    pub(crate) notes: Vec<u16>,
    /// The board that is nowhere covered by what does not stick on it.
    pub(crate) boards: Vec<u16>,
    /// How many pixels an object would have with nothing before it.
    pub(crate) drawn: Vec<u32>,
}

/// What the canvas has to know of an object.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    /// The board that it sticks on.
    pub(crate) on: Option<u16>,
    /// Whether others stick on it.
    pub(crate) is_board: bool,
}

/// A rectangle of pixels.
#[derive(Clone, Copy)]
struct Window {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

/// Pixels are painted in squares of this side, so that what a square does not show is left out as a whole.
const TILE: usize = 16;

/// Paints these layers, the first at the back.
pub(crate) fn render(
    size: [u32; 2],
    layers: &[Layer],
    camera: &Camera,
    light: &Light,
    owners: &[Owner],
) -> Canvas {
    let mut canvas = Canvas::new(size, owners.len());
    let prepare = |layer| Prepared::new(layer, &canvas, camera, light);
    let prepared: Vec<Prepared<'_>> = layers.iter().map(prepare).collect();
    let is_object = |prepared: &Prepared<'_>| matches!(prepared.layer.role, Role::Object(_));
    let first_object = prepared.iter().position(is_object).unwrap_or(layers.len());
    let mut seen = Vec::new();
    for top in (0..canvas.height).step_by(TILE) {
        for left in (0..canvas.width).step_by(TILE) {
            let tile = Window {
                left,
                top,
                right: (left + TILE).min(canvas.width),
                bottom: (top + TILE).min(canvas.height),
            };
            let middle = camera.straighten(tile.middle());
            seen.clear();
            seen.extend(
                prepared
                    .iter()
                    .map(|prepared| prepared.part(tile, middle, camera)),
            );
            let hides = |index: &usize| seen[*index] == Part::All && prepared[*index].is_opaque();
            let back = (0..seen.len()).rev().find(hides).unwrap_or(0);
            for (index, prepared) in prepared.iter().enumerate() {
                if index >= back {
                    if index > back {
                        prepared.cast(&mut canvas, tile, middle, camera);
                    }
                    prepared.paint(&mut canvas, tile, seen[index], camera, light, owners);
                } else if index >= first_object {
                    prepared.own(&mut canvas, tile, seen[index], camera, owners);
                }
            }
        }
    }
    canvas
}

impl Window {
    fn middle(self) -> Point {
        [
            (self.left + self.right) as f32 * 0.5,
            (self.top + self.bottom) as f32 * 0.5,
        ]
    }

    /// What both cover.
    fn and(self, other: Self) -> Option<Self> {
        let window = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        (window.left < window.right && window.top < window.bottom).then_some(window)
    }
}

impl Canvas {
    fn new(size: [u32; 2], objects: usize) -> Self {
        let [width, height] = size.map(|side| side as usize);
        Self {
            width,
            height,
            pixels: vec![[0.3; 3]; width * height],
            notes: vec![NOTHING; width * height],
            boards: vec![NOTHING; width * height],
            drawn: vec![0; objects],
        }
    }

    fn own(&mut self, index: usize, role: Role, owners: &[Owner]) {
        match role {
            Role::Veil => {}
            Role::Cover => {
                self.notes[index] = NOTHING;
                self.boards[index] = NOTHING;
            }
            Role::Stuck => self.notes[index] = NOTHING,
            Role::Object(id) => {
                let owner = &owners[id as usize];
                let slot = if owner.is_board {
                    self.notes[index] = NOTHING;
                    &mut self.boards[index]
                } else {
                    if Some(self.boards[index]) != owner.on {
                        self.boards[index] = NOTHING;
                    }
                    &mut self.notes[index]
                };
                // A second layer of the same object adds only what the first left out.
                if *slot != id {
                    self.drawn[id as usize] += 1;
                }
                *slot = id;
            }
        }
    }

    /// The pixels that may show it; `None` if none does.
    fn window(
        &self,
        layer: &Layer,
        frame: &Frame,
        camera: &Camera,
        [rise, margin]: [f32; 2],
    ) -> Option<Window> {
        let whole = Window {
            left: 0,
            top: 0,
            right: self.width,
            bottom: self.height,
        };
        let Some([x0, y0, x1, y1]) = layer.shape.bounds else {
            return Some(whole);
        };
        let [x0, y0, x1, y1] = [x0 - margin, y0 - margin, x1 + margin, y1 + margin];
        let mut around = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        for lift in [0.0, rise * frame.unit()] {
            for corner in [[x0, y0], [x1, y0], [x1, y1], [x0, y1]] {
                let Some([x, y]) = camera.project(frame.point(corner, lift)) else {
                    return Some(whole);
                };
                let [left, top, right, bottom] = around;
                around = [left.min(x), top.min(y), right.max(x), bottom.max(y)];
            }
        }
        let margin = camera.margin();
        let clip = |at: f32, most: usize| at.clamp(0.0, most as f32) as usize;
        let window = Window {
            left: clip(around[0] - margin, self.width),
            top: clip(around[1] - margin, self.height),
            right: clip(around[2] + margin, self.width),
            bottom: clip(around[3] + margin, self.height),
        };
        window.and(whole)
    }

    /// A pixel's place in picture heights from the middle.
    pub(crate) fn place(&self, x: usize, y: usize) -> Point {
        let height = self.height as f32;
        [
            (x as f32 + 0.5 - 0.5 * self.width as f32) / height,
            (y as f32 + 0.5) / height - 0.5,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bend::Bend, camera::Pose, layer::plain, shapes::Shape};

    /// A red board on a green ground, on it a bent blue note and half of another one, before which a grey disk is.
    fn scene() -> (Canvas, Vec<Colour>) {
        let pose = Pose {
            target: [0.0, 0.0],
            height: 1.3,
            tilt: 0.6,
            azimuth: 0.5,
            roll: 0.2,
            lens: 0.8,
            distortion: 0.04,
        };
        let size = [240, 200];
        let camera = Camera::new(size, &pose);
        let colours = vec![
            [0.0, 0.6, 0.0],
            [0.6, 0.0, 0.0],
            [0.0, 0.0, 0.6],
            [0.3, 0.3, 0.3],
        ];
        let block = || Shape::block([0.5, 0.5], 0.0);
        let main = Frame::MAIN;
        let note = |at, turn| main.lifted(0.01).at(at, turn, 0.3);
        let layers = [
            Layer::new(main, Shape::everywhere(), Role::Cover, plain(colours[0])),
            Layer::new(
                main,
                Shape::block([0.45, 0.5], 0.05),
                Role::Object(0),
                plain(colours[1]),
            ),
            Layer::new(
                note([-0.1, -0.1], 0.4),
                block(),
                Role::Object(1),
                plain(colours[2]),
            )
            .bend(Some(Bend::new(1.2, -0.2, 0.3, false)))
            .shadow(0.02, 0.05, 0.5),
            Layer::new(
                note([0.45, 0.2], 0.1),
                block(),
                Role::Object(2),
                plain(colours[2]),
            ),
            Layer::new(
                note([0.4, 0.25], 0.0),
                Shape::ellipse([0.3, 0.3]),
                Role::Cover,
                plain(colours[3]),
            ),
        ];
        let board = Owner {
            on: None,
            is_board: true,
        };
        let note = Owner {
            on: Some(0),
            is_board: false,
        };
        let owners = [board, note, note];
        (
            render(size, &layers, &camera, &Light::calm(), &owners),
            colours,
        )
    }

    #[test]
    fn masks_are_what_is_drawn() {
        let (canvas, colours) = scene();
        let mut seen = [0; 4];
        for (index, pixel) in canvas.pixels.iter().enumerate() {
            let likeness = |colour: &Colour| {
                let [a, b] =
                    [*pixel, *colour].map(|c| (c[0] * c[0] + c[1] * c[1] + c[2] * c[2]).sqrt());
                (pixel[0] * colour[0] + pixel[1] * colour[1] + pixel[2] * colour[2]) / (a * b)
            };
            let Some(drawn) = colours.iter().position(|colour| likeness(colour) > 0.9999) else {
                // Of two colours: an edge.
                continue;
            };
            seen[drawn] += 1;
            let (note, board) = (canvas.notes[index], canvas.boards[index]);
            match drawn {
                0 | 3 => assert_eq!((note, board), (NOTHING, NOTHING)),
                1 => assert_eq!((note, board), (NOTHING, 0)),
                _ => assert!(note == 1 && board == 0 || note == 2, "{note} {board}"),
            }
        }
        assert!(seen.iter().all(|count| *count > 300), "{seen:?}");
    }

    #[test]
    fn what_is_hidden_was_counted() {
        let (canvas, _) = scene();
        let visible = |id: u16| canvas.notes.iter().filter(|note| **note == id).count();
        assert_eq!(canvas.drawn[1] as usize, visible(1));
        assert!(canvas.drawn[2] as usize > visible(2) + 100);
    }
}
