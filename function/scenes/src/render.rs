//! Layers into pixels.
//!
//! Every layer knows its plane, so each pixel is traced back to the plane's coordinates, where the layer's shape is
//! a distance and its paint a formula. A pixel belongs to an object if its centre does.

use crate::{
    camera::{Camera, Frame, Homography, Sight},
    layer::{Layer, Role, Shadow},
    light::Light,
    maths::{Colour, Point, length, mix, scale, smooth, times},
};

/// What no object covers.
pub(crate) const NOTHING: u16 = u16::MAX;

/// A picture in linear light, and whose each pixel is.
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
    /// The note on top.
    pub(crate) notes: Vec<u16>,
    /// The board that is nowhere covered by what does not stick on it.
    pub(crate) boards: Vec<u16>,
    /// How many pixels an object would have with nothing before it.
    pub(crate) drawn: Vec<u32>,
}

/// What the canvas has to know of an object.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    /// The board that a note sticks on.
    pub(crate) on: Option<u16>,
    pub(crate) is_note: bool,
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

/// How far a formula may be off when it tells the distance to an edge from the middle of a square.
const DOUBT: f32 = 1.5;

/// A layer as the camera sees it.
struct Prepared<'a> {
    layer: &'a Layer,
    view: View,
    window: Option<Window>,
    shadow: Option<Cast>,
    /// The light on it where it is flat.
    flat: Colour,
}

/// How pixels see a layer.
struct View {
    homography: Homography,
    /// The camera's foot and height.
    eye: [f32; 3],
}

/// How a layer's shadow falls.
struct Cast {
    homography: Homography,
    window: Window,
    /// From the ground to what keeps its light.
    offset: Point,
    /// How far a unit of the layer's own height moves its shadow.
    drift: Point,
    blur: f32,
    strength: f32,
}

/// What a square shows of a shape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    None,
    Some,
    All,
}

/// A point of a layer that a pixel sees.
struct Seen {
    at: Point,
    footprint: f32,
    slope: Point,
}

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
            seen.extend(prepared.iter().map(|prepared| prepared.part(tile, middle)));
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
                let slot = if owner.is_note {
                    if Some(self.boards[index]) != owner.on {
                        self.boards[index] = NOTHING;
                    }
                    &mut self.notes[index]
                } else {
                    self.notes[index] = NOTHING;
                    &mut self.boards[index]
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

/// The middle of a pixel where a pinhole would have it.
fn centre(camera: &Camera, x: usize, y: usize) -> Point {
    camera.straighten([x as f32 + 0.5, y as f32 + 0.5])
}

impl<'a> Prepared<'a> {
    fn new(layer: &'a Layer, canvas: &Canvas, camera: &Camera, light: &Light) -> Self {
        let rise = layer.bend.map_or(0.0, |bend| bend.height());
        Self {
            layer,
            view: View {
                homography: camera.homography(&layer.frame),
                eye: layer.frame.local(camera.position),
            },
            window: canvas.window(layer, &layer.frame, camera, [rise, layer.soft]),
            shadow: layer
                .shadow
                .and_then(|shadow| Cast::new(layer, shadow, canvas, camera, light)),
            flat: light.on(&layer.frame, [0.0, 0.0, 1.0]),
        }
    }

    fn is_opaque(&self) -> bool {
        self.layer.role != Role::Veil && self.layer.opacity >= 1.0
    }

    fn part(&self, tile: Window, middle: Point) -> Part {
        if self.window.and_then(|window| window.and(tile)).is_none() {
            return Part::None;
        }
        if self.layer.bend.is_some() {
            return Part::Some;
        }
        let Some((at, reach)) = self.view.homography.reach(middle, TILE as f32 * 0.75) else {
            return Part::Some;
        };
        let distance = self.layer.shape.distance(at);
        let reach = reach * DOUBT;
        if distance > reach + self.layer.soft {
            Part::None
        } else if distance < -reach - self.layer.soft {
            Part::All
        } else {
            Part::Some
        }
    }

    fn paint(
        &self,
        canvas: &mut Canvas,
        tile: Window,
        part: Part,
        camera: &Camera,
        light: &Light,
        owners: &[Owner],
    ) {
        let Some(window) = self.window.and_then(|window| window.and(tile)) else {
            return;
        };
        if part == Part::None {
            return;
        }
        let layer = self.layer;
        for y in window.top..window.bottom {
            for x in window.left..window.right {
                let pixel = centre(camera, x, y);
                let Some(seen) = self.sight(pixel) else {
                    continue;
                };
                let (cover, owned) = if part == Part::All {
                    (1.0, true)
                } else {
                    self.cover(&seen, pixel)
                };
                if cover <= 0.0 {
                    continue;
                }
                let index = y * canvas.width + x;
                let mut colour = (layer.paint)(seen.at, seen.footprint.max(layer.blur));
                if layer.role != Role::Veil {
                    let shine = match self.normal(&seen, part) {
                        None => self.flat,
                        Some([x, y]) => light.on(&layer.frame, [x, y, 1.0]),
                    };
                    colour = times(colour, shine);
                    if layer.gloss > 0.0 {
                        let glare = layer.gloss * light.glare(canvas.place(x, y));
                        colour = colour.map(|channel| channel + glare);
                    }
                }
                let pixel = &mut canvas.pixels[index];
                *pixel = mix(*pixel, colour, cover * layer.opacity);
                if owned {
                    canvas.own(index, layer.role, owners);
                }
            }
        }
    }

    /// Whose its pixels are, where all else of it is hidden.
    fn own(
        &self,
        canvas: &mut Canvas,
        tile: Window,
        part: Part,
        camera: &Camera,
        owners: &[Owner],
    ) {
        let Some(window) = self.window.and_then(|window| window.and(tile)) else {
            return;
        };
        if part == Part::None || self.layer.role == Role::Veil {
            return;
        }
        for y in window.top..window.bottom {
            for x in window.left..window.right {
                let seen = || self.sight(centre(camera, x, y));
                let inside = |seen: Seen| self.layer.shape.distance(seen.at) <= 0.0;
                if part == Part::All || seen().is_some_and(inside) {
                    canvas.own(y * canvas.width + x, self.layer.role, owners);
                }
            }
        }
    }

    /// Darkens where the layer keeps the light from the ground below it.
    fn cast(&self, canvas: &mut Canvas, tile: Window, middle: Point, camera: &Camera) {
        let Some(cast) = &self.shadow else { return };
        let Some(window) = cast.window.and(tile) else {
            return;
        };
        let layer = self.layer;
        if layer.bend.is_none()
            && let Some((at, reach)) = cast.homography.reach(middle, TILE as f32 * 0.75)
        {
            let at = [at[0] + cast.offset[0], at[1] + cast.offset[1]];
            if layer.shape.distance(at) > reach * DOUBT + cast.blur {
                return;
            }
        }
        for y in window.top..window.bottom {
            for x in window.left..window.right {
                let Some(sight) = cast.homography.sight(centre(camera, x, y)) else {
                    continue;
                };
                let at = [sight.at[0] + cast.offset[0], sight.at[1] + cast.offset[1]];
                let (at, slope) = match &layer.bend {
                    Some(bend) => bend.unbend(at, cast.drift),
                    None => (at, [0.0; 2]),
                };
                let blur = (cast.blur * (1.0 + 1.5 * length(slope))).max(sight.footprint);
                let cover = smooth(0.5 - layer.shape.distance(at) / blur);
                if cover > 0.0 {
                    let pixel = &mut canvas.pixels[y * canvas.width + x];
                    *pixel = scale(*pixel, 1.0 - cast.strength * cover);
                }
            }
        }
    }

    fn sight(&self, pixel: Point) -> Option<Seen> {
        let Sight { at, footprint } = self.view.homography.sight(pixel)?;
        let Some(bend) = &self.layer.bend else {
            return Some(Seen {
                at,
                footprint,
                slope: [0.0; 2],
            });
        };
        let [x, y, height] = self.view.eye;
        let drift = [(at[0] - x) / height, (at[1] - y) / height];
        let (at, slope) = bend.unbend(at, drift);
        Some(Seen {
            at,
            footprint,
            slope,
        })
    }

    /// How much of the pixel it covers, and whether the pixel's centre lies in it.
    fn cover(&self, seen: &Seen, pixel: Point) -> (f32, bool) {
        let distance = self.layer.shape.distance(seen.at);
        let owned = distance <= 0.0;
        if self.layer.soft > 0.0 {
            let soft = self.layer.soft.max(seen.footprint);
            return (smooth(0.5 - distance / soft), owned);
        }
        if distance.abs() > 3.0 * seen.footprint {
            return (f32::from(u8::from(owned)), owned);
        }
        // How fast the distance grows across the picture tells how much of the pixel lies on either side.
        let step = |x: f32, y: f32| match self.sight([pixel[0] + x, pixel[1] + y]) {
            Some(next) => self.layer.shape.distance(next.at) - distance,
            None => seen.footprint,
        };
        let growth = length([step(0.5, 0.0), step(0.0, 0.5)]) * 2.0;
        ((0.5 - distance / growth.max(1e-9)).clamp(0.0, 1.0), owned)
    }

    /// To where the surface turns, by its own plane; `None` where it is flat.
    fn normal(&self, seen: &Seen, part: Part) -> Option<Point> {
        let relief = self.layer.relief;
        if relief > 0.0 {
            if part == Part::All && self.layer.shape.distance(seen.at) < -relief {
                return None;
            }
            let distance = self.layer.shape.distance(seen.at);
            let depth = (-distance / relief).clamp(0.0, 1.0);
            if depth >= 1.0 {
                return None;
            }
            let step = 0.02 * relief;
            let [x, y] = seen.at;
            let grow = [
                (self.layer.shape.distance([x + step, y]) - distance) / step,
                (self.layer.shape.distance([x, y + step]) - distance) / step,
            ];
            let out = 1.0 - depth;
            let steep = out / (1.04 - out * out).sqrt();
            return Some([grow[0] * steep, grow[1] * steep]);
        }
        let [x, y] = seen.slope;
        // Thin paper shows its bends more than a wall of that slope would.
        (x != 0.0 || y != 0.0).then_some([-1.5 * x, -1.5 * y])
    }
}

impl Cast {
    fn new(
        layer: &Layer,
        shadow: Shadow,
        canvas: &Canvas,
        camera: &Camera,
        light: &Light,
    ) -> Option<Self> {
        let unit = layer.frame.unit();
        let ground = layer.frame.lifted(-shadow.height * unit);
        let [x, y, z] = ground.direction(light.sun);
        if z <= 0.05 {
            return None;
        }
        let slant = [(x / z).clamp(-1.5, 1.5), (y / z).clamp(-1.5, 1.5)];
        let rise = layer.bend.map_or(0.0, |bend| bend.height());
        let reach = (rise + shadow.height) * length(slant) + shadow.blur;
        Some(Self {
            homography: camera.homography(&ground),
            window: canvas.window(layer, &ground, camera, [0.0, reach])?,
            offset: [slant[0] * shadow.height, slant[1] * shadow.height],
            drift: [-slant[0], -slant[1]],
            blur: shadow.blur,
            strength: shadow.strength.min(0.95),
        })
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
            is_note: false,
        };
        let note = Owner {
            on: Some(0),
            is_note: true,
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
