//! Other processors have no such tiles.

use super::Forward;
use crate::{Arena, Geometry, shared::Shared};

/// That this process may use tiles, which it may not.
#[derive(Clone, Copy, Debug)]
pub enum Amx {}

impl Amx {
    /// None.
    pub fn get() -> Option<Self> {
        None
    }

    pub(crate) fn forward(self, _: &Arena, _: &Forward<'_>, _: Shared<'_, f32>) {
        match self {}
    }

    pub(crate) fn weight_gradient(
        self,
        _: &Arena,
        _: Geometry,
        _: &[f32],
        _: [usize; 4],
        _: &[f32],
    ) -> Vec<f32> {
        match self {}
    }
}
