//! Anchors: the boxes that proposals are offsets from.

/// Anchors of one place, around its origin: every size (the square root of the area, in pixels) in every
/// aspect ratio (height to width), ratio after ratio, rounded to whole pixels as torchvision's
/// `AnchorGenerator` rounds them.
pub fn cell_anchors(sizes: &[f32], aspect_ratios: &[f32]) -> Vec<[f32; 4]> {
    let anchor = |ratio: f32, size: f32| {
        let height_ratio = ratio.sqrt();
        let width = 1.0 / height_ratio * size / 2.0;
        let height = height_ratio * size / 2.0;
        [-width, -height, width, height].map(f32::round_ties_even)
    };
    aspect_ratios
        .iter()
        .flat_map(|&ratio| sizes.iter().map(move |&size| anchor(ratio, size)))
        .collect()
}

/// The anchor `cell` at place `[column, row]` of a map with these strides (`[x, y]`, in pixels).
pub fn shifted(cell: [f32; 4], [column, row]: [usize; 2], strides: [usize; 2]) -> [f32; 4] {
    let x = (column * strides[0]) as f32;
    let y = (row * strides[1]) as f32;
    [cell[0] + x, cell[1] + y, cell[2] + x, cell[3] + y]
}

#[cfg(test)]
mod tests {
    use super::{cell_anchors, shifted};

    /// `AnchorGenerator(((32,),), ((0.5, 1.0, 2.0),)).cell_anchors` of torchvision.
    #[test]
    fn cells_are_torchvisions() {
        assert_eq!(
            cell_anchors(&[32.0], &[0.5, 1.0, 2.0]),
            [
                [-23.0, -11.0, 23.0, 11.0],
                [-16.0, -16.0, 16.0, 16.0],
                [-11.0, -23.0, 11.0, 23.0],
            ]
        );
    }

    #[test]
    fn places_are_a_stride_apart() {
        let cell = [-1.0, -2.0, 1.0, 2.0];
        assert_eq!(shifted(cell, [3, 1], [16, 8]), [47.0, 6.0, 49.0, 10.0]);
    }
}
