//! How pixels see one layer.

use super::{Canvas, Owner, TILE, Window};
use crate::{
    camera::{Camera, Homography, Sight},
    layer::{Layer, Role, Shadow},
    light::Light,
    maths::{Colour, Point, length, mix, scale, smooth, times},
};

/// How far a formula may be off when it tells the distance to an edge from the middle of a square.
const DOUBT: f32 = 1.5;

/// A layer as the camera sees it.
pub(super) struct Prepared<'a> {
    pub(super) layer: &'a Layer,
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
pub(super) enum Part {
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

/// The middle of a pixel where a pinhole would have it.
fn centre(camera: &Camera, x: usize, y: usize) -> Point {
    camera.straighten([x as f32 + 0.5, y as f32 + 0.5])
}

impl<'a> Prepared<'a> {
    pub(super) fn new(layer: &'a Layer, canvas: &Canvas, camera: &Camera, light: &Light) -> Self {
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

    pub(super) fn is_opaque(&self) -> bool {
        self.layer.role != Role::Veil && self.layer.opacity >= 1.0
    }

    pub(super) fn part(&self, tile: Window, middle: Point, camera: &Camera) -> Part {
        if self.window.and_then(|window| window.and(tile)).is_none() {
            return Part::None;
        }
        if self.layer.bend.is_some() {
            return self.bent_part(tile, camera);
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

    /// Paper is convex: it covers a square if it covers the corners.
    fn bent_part(&self, tile: Window, camera: &Camera) -> Part {
        let [left, right] = [tile.left, tile.right].map(|x| x as f32);
        let [top, bottom] = [tile.top, tile.bottom].map(|y| y as f32);
        let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
        let inside = |corner| {
            let seen = self.sight(camera.straighten(corner));
            seen.is_some_and(|seen| self.layer.shape.distance(seen.at) < -3.0 * seen.footprint)
        };
        if self.layer.soft == 0.0 && corners.into_iter().all(inside) {
            Part::All
        } else {
            Part::Some
        }
    }

    pub(super) fn paint(
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
        let footprint = self
            .view
            .homography
            .footprint(camera.straighten(tile.middle()), TILE as f32 * 0.5);
        for y in window.top..window.bottom {
            for x in window.left..window.right {
                let pixel = centre(camera, x, y);
                let Some(seen) = self.sight_of(pixel, footprint) else {
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
                let mut colour = self.colour(&seen, pixel);
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

    fn colour(&self, seen: &Seen, pixel: Point) -> Colour {
        let layer = self.layer;
        let footprint = seen.footprint.max(layer.blur);
        if !layer.rough {
            return (layer.paint)(seen.at, footprint);
        }
        let sample = |x: f32, y: f32| {
            let near = self.sight_of([pixel[0] + x, pixel[1] + y], Some(footprint));
            (layer.paint)(near.map_or(seen.at, |near| near.at), footprint)
        };
        let (a, b) = (sample(-0.375, -0.125), sample(0.375, 0.125));
        let two = mix(a, b, 0.5);
        if (0..3).all(|channel| (a[channel] - b[channel]).abs() < 0.04) {
            return two;
        }
        mix(
            two,
            mix(sample(0.125, -0.375), sample(-0.125, 0.375), 0.5),
            0.5,
        )
    }

    /// Whose its pixels are, where all else of it is hidden.
    pub(super) fn own(
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
    pub(super) fn cast(&self, canvas: &mut Canvas, tile: Window, middle: Point, camera: &Camera) {
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
        self.sight_of(pixel, None)
    }

    /// What a pixel sees, whose width is known or is not.
    fn sight_of(&self, pixel: Point, footprint: Option<f32>) -> Option<Seen> {
        let (at, footprint) = match footprint {
            Some(footprint) => (self.view.homography.point(pixel)?, footprint),
            None => {
                let Sight { at, footprint } = self.view.homography.sight(pixel)?;
                (at, footprint)
            }
        };
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
        let step = |x: f32, y: f32| match self
            .sight_of([pixel[0] + x, pixel[1] + y], Some(seen.footprint))
        {
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
