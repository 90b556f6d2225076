//! A scene in the making.

use crate::{
    bend::Bend,
    camera::{Camera, Frame},
    layer::{Layer, Role},
    light::Light,
    masks::Made,
    maths::{Point, length, sub},
    random::Random,
    render::{self, Canvas, Owner},
    scene::{Class, Family},
};

pub(crate) struct Stage {
    pub(crate) random: Random,
    pub(crate) family: Family,
    pub(crate) size: [u32; 2],
    pub(crate) camera: Camera,
    pub(crate) light: Light,
    layers: Vec<Layer>,
    pub(crate) made: Vec<Made>,
}

impl Stage {
    pub(crate) fn new(
        random: Random,
        family: Family,
        size: [u32; 2],
        camera: Camera,
        light: Light,
    ) -> Self {
        Self {
            random,
            family,
            size,
            camera,
            light,
            layers: Vec::new(),
            made: Vec::new(),
        }
    }

    /// Puts it before all that is there.
    pub(crate) fn add(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// A new object, which covers these half sides of the frame.
    pub(crate) fn object(
        &mut self,
        class: Class,
        on: Option<u16>,
        frame: &Frame,
        half: Point,
    ) -> Role {
        let whole = self.area(frame, half);
        self.made.push(Made { class, on, whole });
        Role::Object((self.made.len() - 1) as u16)
    }

    /// How many pixels these half sides would cover in a picture without end.
    fn area(&self, frame: &Frame, [w, h]: Point) -> f32 {
        let corners = [[-w, -h], [w, -h], [w, h], [-w, h]]
            .map(|corner| self.camera.project(frame.point(corner, 0.0)));
        let mut twice = 0.0;
        for index in 0..4 {
            let (Some(a), Some(b)) = (corners[index], corners[(index + 1) % 4]) else {
                return 0.0;
            };
            twice += a[0] * b[1] - a[1] * b[0];
        }
        0.5 * twice.abs()
    }

    /// About how many pixels the frame's unit is long.
    pub(crate) fn pixels(&self, frame: &Frame) -> f32 {
        let at = |point: Point| self.camera.project(frame.point(point, 0.0));
        let (Some(middle), Some(right), Some(below)) =
            (at([0.0, 0.0]), at([0.1, 0.0]), at([0.0, 0.1]))
        else {
            return 0.0;
        };
        10.0 * length(sub(right, middle)).max(length(sub(below, middle)))
    }

    /// Whether any of it may be in the picture.
    pub(crate) fn sees(&self, frame: &Frame, reach: f32) -> bool {
        let Some([x, y]) = self.camera.project(frame.origin) else {
            return false;
        };
        let reach = reach * self.pixels(frame) * 1.5;
        let [width, height] = self.size.map(|side| side as f32);
        x > -reach && y > -reach && x < width + reach && y < height + reach
    }

    /// The bend, no stronger than this camera's view of the frame allows.
    pub(crate) fn bend(&self, frame: &Frame, bend: Bend) -> Bend {
        let [x, y, height] = frame.local(self.camera.position);
        bend.seen([-x / height.max(0.1), -y / height.max(0.1)])
    }

    pub(crate) fn render(&self) -> Canvas {
        let owner = |made: &Made| Owner {
            on: made.on,
            is_board: made.class.is_board(),
        };
        let owners: Vec<Owner> = self.made.iter().map(owner).collect();
        render::render(self.size, &self.layers, &self.camera, &self.light, &owners)
    }
}
