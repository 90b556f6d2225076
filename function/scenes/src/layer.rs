//! What is painted, from the back to the front.

use crate::{
    bend::Bend,
    camera::Frame,
    maths::{Colour, Point},
    shapes::Shape,
};

/// The colour at a point, by what a pixel's width there is.
pub(crate) type Paint = Box<dyn Fn(Point, f32) -> Colour>;

/// A piece of a surface.
pub(crate) struct Layer {
    pub(crate) frame: Frame,
    pub(crate) shape: Shape,
    pub(crate) paint: Paint,
    pub(crate) role: Role,
    pub(crate) bend: Option<Bend>,
    pub(crate) shadow: Option<Shadow>,
    /// How wide the rim is that turns away from the viewer, as on a ball or a sleeve; 0 for what is flat.
    pub(crate) relief: f32,
    /// How much of a lamp it mirrors.
    pub(crate) gloss: f32,
    pub(crate) opacity: f32,
    /// How wide a point of it is at least, where it is out of focus.
    pub(crate) blur: f32,
    /// Whether its paint has edges that do not ask how wide a pixel is, so that several points of one are looked at.
    pub(crate) rough: bool,
    /// How wide a soft edge is.
    pub(crate) soft: f32,
}

/// What a layer means for the objects below it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Hides them.
    Cover,
    /// Hides notes and belongs to the board below, as a magnet does.
    Stuck,
    /// Is part of this object, a note or a board. A note covers boards but for the one it sticks on.
    Object(u16),
    /// Only changes how they look: a shadow or a reflection.
    Veil,
}

/// What a layer casts on the ground so far (in its frame's units) below it.
#[derive(Clone, Copy)]
pub(crate) struct Shadow {
    pub(crate) height: f32,
    pub(crate) blur: f32,
    pub(crate) strength: f32,
}

impl Layer {
    pub(crate) fn new(frame: Frame, shape: Shape, role: Role, paint: Paint) -> Self {
        Self {
            frame,
            shape,
            paint,
            role,
            bend: None,
            shadow: None,
            relief: 0.0,
            gloss: 0.0,
            opacity: 1.0,
            blur: 0.0,
            rough: false,
            soft: 0.0,
        }
    }

    pub(crate) fn bend(self, bend: Option<Bend>) -> Self {
        Self { bend, ..self }
    }

    pub(crate) fn shadow(self, height: f32, blur: f32, strength: f32) -> Self {
        Self {
            shadow: Some(Shadow {
                height,
                blur,
                strength,
            }),
            ..self
        }
    }

    pub(crate) fn relief(self, relief: f32) -> Self {
        Self { relief, ..self }
    }

    pub(crate) fn gloss(self, gloss: f32) -> Self {
        Self { gloss, ..self }
    }

    pub(crate) fn opacity(self, opacity: f32) -> Self {
        Self { opacity, ..self }
    }

    pub(crate) fn blur(self, blur: f32) -> Self {
        Self { blur, ..self }
    }

    pub(crate) fn rough(self) -> Self {
        Self {
            rough: true,
            ..self
        }
    }

    pub(crate) fn soft(self, soft: f32) -> Self {
        Self { soft, ..self }
    }
}

/// One colour everywhere.
pub(crate) fn plain(colour: Colour) -> Paint {
    Box::new(move |_, _| colour)
}
