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

impl Canvas {
    pub(crate) fn new(size: [u32; 2], objects: usize) -> Self {
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

    pub(crate) fn paint(
        &mut self,
        layer: &Layer,
        camera: &Camera,
        light: &Light,
        owners: &[Owner],
    ) {
        if let Some(shadow) = &layer.shadow {
            self.cast(layer, shadow, camera, light);
        }
        let painter = Painter::new(layer, camera);
        let height = layer.bend.map_or(0.0, |bend| bend.height());
        let Some(window) = self.window(layer, &layer.frame, camera, [height, layer.soft]) else {
            return;
        };
        let flat = light.on(&layer.frame, [0.0, 0.0, 1.0]);
        for y in window.top..window.bottom {
            for x in window.left..window.right {
                let pixel = camera.straighten([x as f32 + 0.5, y as f32 + 0.5]);
                let Some(seen) = painter.sight(pixel) else {
                    continue;
                };
                let (cover, owned) = painter.cover(&seen, pixel);
                if cover <= 0.0 {
                    continue;
                }
                let index = y * self.width + x;
                let mut colour = (layer.paint)(seen.at, seen.footprint);
                if layer.role != Role::Veil {
                    let shine = match painter.normal(&seen) {
                        None => flat,
                        Some([x, y]) => light.on(&layer.frame, [x, y, 1.0]),
                    };
                    colour = times(colour, shine);
                    if layer.gloss > 0.0 {
                        let glare = layer.gloss * light.glare(self.place(x, y));
                        colour = colour.map(|channel| channel + glare);
                    }
                }
                let pixel = &mut self.pixels[index];
                *pixel = mix(*pixel, colour, cover * layer.opacity);
                if owned {
                    self.own(index, layer.role, owners);
                }
            }
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

    /// Darkens where the layer keeps the light from the ground below it.
    fn cast(&mut self, layer: &Layer, shadow: &Shadow, camera: &Camera, light: &Light) {
        let unit = layer.frame.unit();
        let ground = layer.frame.lifted(-shadow.height * unit);
        let [x, y, z] = ground.direction(light.sun);
        if z <= 0.05 {
            return;
        }
        let slant = [(x / z).clamp(-1.5, 1.5), (y / z).clamp(-1.5, 1.5)];
        let drift = [-slant[0], -slant[1]];
        let offset = [slant[0] * shadow.height, slant[1] * shadow.height];
        let rise = layer.bend.map_or(0.0, |bend| bend.height());
        let reach = (rise + shadow.height) * length(slant) + shadow.blur;
        let Some(window) = self.window(layer, &ground, camera, [0.0, reach]) else {
            return;
        };
        let homography = camera.homography(&ground);
        let strength = shadow.strength.min(0.95);
        for y in window.top..window.bottom {
            for x in window.left..window.right {
                let pixel = camera.straighten([x as f32 + 0.5, y as f32 + 0.5]);
                let Some(sight) = homography.sight(pixel) else {
                    continue;
                };
                let at = [sight.at[0] + offset[0], sight.at[1] + offset[1]];
                let (at, slope) = match &layer.bend {
                    Some(bend) => bend.unbend(at, drift),
                    None => (at, [0.0; 2]),
                };
                let blur = (shadow.blur * (1.0 + 1.5 * length(slope))).max(sight.footprint);
                let cover = smooth(0.5 - layer.shape.distance(at) / blur);
                if cover > 0.0 {
                    let pixel = &mut self.pixels[y * self.width + x];
                    *pixel = scale(*pixel, 1.0 - strength * cover);
                }
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
        (window.left < window.right && window.top < window.bottom).then_some(window)
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

/// How pixels see a layer.
struct Painter<'a> {
    layer: &'a Layer,
    homography: Homography,
    /// How far a unit of height moves what is seen: `offset + gain * point`.
    eye: [f32; 3],
}

/// A point of the layer that a pixel sees.
struct Seen {
    at: Point,
    footprint: f32,
    slope: Point,
}

impl<'a> Painter<'a> {
    fn new(layer: &'a Layer, camera: &Camera) -> Self {
        Self {
            layer,
            homography: camera.homography(&layer.frame),
            eye: layer.frame.local(camera.position),
        }
    }

    fn sight(&self, pixel: Point) -> Option<Seen> {
        let Sight { at, footprint } = self.homography.sight(pixel)?;
        let Some(bend) = &self.layer.bend else {
            return Some(Seen {
                at,
                footprint,
                slope: [0.0; 2],
            });
        };
        let [x, y, height] = self.eye;
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
    fn normal(&self, seen: &Seen) -> Option<Point> {
        let relief = self.layer.relief;
        if relief > 0.0 {
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
        (x != 0.0 || y != 0.0).then_some([-x, -y])
    }
}
