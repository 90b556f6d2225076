//! Components with fewer samples than the picture, brought to its size as libjpeg's "fancy upsampling"
//! does: twice as many by a triangle filter, other multiples by repetition.

use super::{
    error::JpegError,
    frame::{Component, Frame},
};

/// The samples of a component, or some rows of them.
#[derive(Debug)]
pub(super) struct Plane {
    /// In samples of the picture.
    pub(super) width: usize,
    /// In samples of the picture.
    pub(super) height: usize,
    /// Samples between the starts of two rows.
    pub(super) stride: usize,
    /// The row that the samples begin with.
    pub(super) first: usize,
    pub(super) samples: Vec<u8>,
}

impl Plane {
    /// A row, without the samples that fill up the last block.
    fn row(&self, y: usize) -> &[u8] {
        &self.samples[(y - self.first) * self.stride..][..self.width]
    }
}

/// How samples become more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upsampling {
    /// There are as many as pixels.
    None,
    /// Two along a row for one, weighted 3/4 and 1/4.
    TriangleH2V1,
    /// Two along a column for one, weighted 3/4 and 1/4.
    TriangleH1V2,
    /// Both.
    TriangleH2V2,
    /// The sample again and again.
    Repetition {
        /// How often along a row.
        horizontal: usize,
        /// How often along a column.
        vertical: usize,
    },
}

impl Upsampling {
    /// What libjpeg does for a component.
    pub(super) fn new(component: &Component, frame: &Frame) -> Result<Self, JpegError> {
        let (wide, high) = (component.horizontal, component.vertical);
        if !frame.max_horizontal.is_multiple_of(wide) || !frame.max_vertical.is_multiple_of(high) {
            return Err(JpegError::Unsupported("a fractional sampling ratio"));
        }
        let (horizontal, vertical) = (frame.max_horizontal / wide, frame.max_vertical / high);
        let has_neighbours = component.width > 2;
        Ok(match (horizontal, vertical) {
            (1, 1) => Self::None,
            (2, 1) if has_neighbours => Self::TriangleH2V1,
            (1, 2) => Self::TriangleH1V2,
            (2, 2) if has_neighbours => Self::TriangleH2V2,
            _ => Self::Repetition {
                horizontal,
                vertical,
            },
        })
    }

    /// Row `y` of the picture: at least as many samples as it is wide.
    pub(super) fn row<'a>(self, plane: &'a Plane, y: usize, space: &'a mut Space) -> &'a [u8] {
        match self {
            Self::None => plane.row(y),
            Self::TriangleH2V1 => {
                space
                    .inner()
                    .extend(plane.row(y).iter().map(|&sample| u16::from(sample)));
                space.doubled::<2, 1, 2>()
            }
            Self::TriangleH1V2 => {
                let rounding = if y.is_multiple_of(2) { 1 } else { 2 };
                let [near, far] = nearest_rows(plane, y);
                space.row.clear();
                let blend = |(near, far)| (blended(near, far) + rounding) >> 2;
                let samples = near.iter().zip(far).map(blend);
                space.row.extend(samples.map(|sample| sample as u8));
                &space.row
            }
            Self::TriangleH2V2 => {
                let [near, far] = nearest_rows(plane, y);
                let sums = near.iter().zip(far).map(|(near, far)| blended(near, far));
                space.inner().extend(sums);
                space.doubled::<4, 8, 7>()
            }
            Self::Repetition {
                horizontal,
                vertical,
            } => {
                let row = plane.row(y / vertical);
                space.row.clear();
                let repeated = row
                    .iter()
                    .flat_map(|&sample| std::iter::repeat_n(sample, horizontal));
                space.row.extend(repeated);
                &space.row
            }
        }
    }
}

/// Of a plane with half as many rows as the picture the one that row `y` lies in, and the one that it lies
/// next to; at the edges the same one again.
fn nearest_rows(plane: &Plane, y: usize) -> [&[u8]; 2] {
    let near = y / 2;
    let far = if y.is_multiple_of(2) {
        near.saturating_sub(1)
    } else {
        (near + 1).min(plane.height - 1)
    };
    [plane.row(near), plane.row(far)]
}

/// Four times the sample at a quarter of the way.
#[inline(always)]
fn blended(near: &u8, far: &u8) -> u16 {
    u16::from(*near) * 3 + u16::from(*far)
}

/// Space for a row that is being made.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// A row before it is doubled, behind its first sample once more.
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl Space {
    /// Where to put a row that is to be [doubled](Self::doubled).
    fn inner(&mut self) -> &mut Vec<u16> {
        self.sums.clear();
        self.sums.push(0);
        &mut self.sums
    }

    /// Two samples for one, weighted 3/4 for it and 1/4 for its neighbour on that side, after adding
    /// `LEFT` and `RIGHT` and without the lowest `SHIFT` bits. What there is none of counts as its neighbour.
    fn doubled<const SHIFT: u32, const LEFT: u16, const RIGHT: u16>(&mut self) -> &[u8] {
        let sums = &mut self.sums;
        sums[0] = sums[1];
        sums.push(sums[sums.len() - 1]);
        self.row.resize((sums.len() - 2) * 2, 0);
        let pairs = self.row.as_chunks_mut::<2>().0;
        let befores = &sums[..];
        let (centres, afters) = (&sums[1..], &sums[2..]);
        for (((pair, before), centre), after) in
            pairs.iter_mut().zip(befores).zip(centres).zip(afters)
        {
            let left = (centre * 3 + before + LEFT) >> SHIFT;
            let right = (centre * 3 + after + RIGHT) >> SHIFT;
            *pair = [left as u8, right as u8];
        }
        &self.row
    }
}

#[cfg(test)]
mod tests {
    use super::{Plane, Space, Upsampling};
    use crate::decode::jpeg::{error::JpegError, frame::Frame};

    fn plane(width: usize, height: usize) -> Plane {
        let stride = width.next_multiple_of(8);
        let samples = (0..stride * height)
            .map(|i| ((i * i * 41) >> 2) as u8)
            .collect();
        Plane {
            width,
            height,
            stride,
            first: 0,
            samples,
        }
    }

    /// The sample at a clamped place.
    fn at(plane: &Plane, x: isize, y: isize) -> usize {
        let x = x.clamp(0, plane.width as isize - 1) as usize;
        let y = y.clamp(0, plane.height as isize - 1) as usize;
        usize::from(plane.samples[y * plane.stride + x])
    }

    /// The index of the sample that a doubled one lies in and of the one that it lies next to.
    fn nearest(doubled: usize) -> [isize; 2] {
        let near = doubled as isize / 2;
        [
            near,
            if doubled.is_multiple_of(2) {
                near - 1
            } else {
                near + 1
            },
        ]
    }

    #[test]
    fn triangles_are_weighted_and_rounded_by_turns() {
        for (width, height) in [(3, 1), (4, 2), (9, 5), (33, 3)] {
            let plane = plane(width, height);
            let mut space = Space::default();
            for y in 0..height {
                let row = Upsampling::TriangleH2V1.row(&plane, y, &mut space);
                assert_eq!(row.len(), width * 2);
                for (x, &found) in row.iter().enumerate() {
                    let [near, far] = nearest(x).map(|x| at(&plane, x, y as isize));
                    assert_eq!(usize::from(found), (near * 3 + far + 1 + x % 2) / 4);
                }
            }
            for y in 0..height * 2 {
                let row = Upsampling::TriangleH1V2.row(&plane, y, &mut space);
                for (x, &found) in row.iter().enumerate() {
                    let [near, far] = nearest(y).map(|y| at(&plane, x as isize, y));
                    assert_eq!(usize::from(found), (near * 3 + far + 1 + y % 2) / 4);
                }
                let row = Upsampling::TriangleH2V2.row(&plane, y, &mut space);
                assert_eq!(row.len(), width * 2);
                for (x, &found) in row.iter().enumerate() {
                    let [near, far] = nearest(x).map(|x| {
                        let [near, far] = nearest(y).map(|y| at(&plane, x, y));
                        near * 3 + far
                    });
                    assert_eq!(usize::from(found), (near * 3 + far + 8 - x % 2) / 16);
                }
            }
        }
    }

    #[test]
    fn other_ratios_are_repeated() {
        let plane = plane(5, 2);
        let repetition = Upsampling::Repetition {
            horizontal: 4,
            vertical: 3,
        };
        let mut space = Space::default();
        for y in 0..6 {
            let row = repetition.row(&plane, y, &mut space);
            assert_eq!(row.len(), 20);
            for (x, &found) in row.iter().enumerate() {
                assert_eq!(
                    usize::from(found),
                    at(&plane, x as isize / 4, y as isize / 3)
                );
            }
        }
    }

    #[test]
    fn the_way_follows_from_the_ratio_and_narrow_components_are_repeated() {
        let upsamplings = |width: u8, factors: [u8; 3]| -> Vec<_> {
            let [a, b, c] = factors;
            let segment = [8, 0, 9, 0, width, 3, 1, a, 0, 2, b, 0, 3, c, 0];
            let frame = Frame::parse(&segment, false).unwrap();
            let components = frame.components.iter();
            components
                .map(|component| Upsampling::new(component, &frame))
                .collect()
        };
        assert_eq!(
            upsamplings(5, [0x22, 0x12, 0x11]),
            [
                Ok(Upsampling::None),
                Ok(Upsampling::TriangleH2V1),
                Ok(Upsampling::TriangleH2V2)
            ]
        );
        let repetition = |horizontal, vertical| {
            Ok(Upsampling::Repetition {
                horizontal,
                vertical,
            })
        };
        assert_eq!(
            upsamplings(4, [0x22, 0x12, 0x11])[1..],
            [repetition(2, 1), repetition(2, 2)]
        );
        assert_eq!(
            upsamplings(9, [0x42, 0x41, 0x12])[1..],
            [Ok(Upsampling::TriangleH1V2), repetition(4, 1)]
        );
        let fractional = Err(JpegError::Unsupported("a fractional sampling ratio"));
        assert_eq!(upsamplings(9, [0x31, 0x21, 0x11])[1], fractional);
    }
}
