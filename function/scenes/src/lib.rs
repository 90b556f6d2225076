//! Drawn photographs of sticky notes and wow boards with exact instance masks.
//!
//! A small network learns from them what such notes and boards are, and is then judged by real photographs. Real
//! ones are poorer than what is drawn here in every respect but truth: so places, lights, cameras and papers vary
//! more than any room does, and much else that is coloured, square or round is about and is nothing to find.
//!
//! [`scene()`] is a function of a seed and [`Settings`], bit for bit the same on every machine. So is [`cups`], whose
//! scenes have something else in them that can be learned.
//!
//! # What is in them
//! | scenes | share | notes |
//! | --- | --- | --- |
//! | one front or several, on walls, floors, tables and cloth | 34 % | 0 to 25 on and beside them |
//! | a back, mostly near and cut by the picture's edge | 24 % | 0 to 16 |
//! | notes without a wow board: walls, desks, other boards, pads | 25 % | 1 to 150 |
//! | none of the three: other boards, rooms, things, nature | 17 % | none |
//!
//! In a few more nothing of the three is left in view or is seen well enough, so that a quarter of the pictures is
//! empty.
//!
//! A note's height is chosen first, with even odds for each doubling from 2.5 to 60 % of the picture's height, and
//! the camera goes where it has to for that. A third of the views are from the side, as far as 65 degrees.
//!
//! # What a mask is
//! A note's mask is what is seen of it. A board's mask is its silhouette with the notes, magnets and the slot for a
//! hand within, without what is before it and does not stick on it. Something of which less than 15 % or fewer
//! than 24 pixels are seen is no object: somebody who outlines would pass over it, too. The share is of the whole
//! note, with what the picture's edge cuts off, but only of the part of a board that is within the picture.

mod bend;
mod board;
mod camera;
mod clutter;
mod compose;
mod grounds;
mod ink;
mod layer;
mod layout;
mod letters;
mod light;
mod masks;
mod maths;
mod noise;
mod note;
mod photo;
mod random;
mod render;
mod rooms;
mod scene;
mod shapes;
mod stage;
mod writing;

pub use scene::{Class, Family, Object, Scene, Settings, cups, demo, scene};
