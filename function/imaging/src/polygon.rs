//! Outlines of masks.

use std::{collections::BTreeMap, ops::Range};

use crate::rle::Rle;

/// A ring of corners `[x, y]` in pixels, the first not repeated at the end. Edges run between pixels,
/// along the axes.
pub type Ring = Vec<[u32; 2]>;

/// One connected part of a mask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polygon {
    /// Its outer edge, clockwise on the screen.
    pub exterior: Ring,
    /// The edges of the holes in it, counterclockwise.
    pub holes: Vec<Ring>,
}

/// The outlines of a mask, exactly: the pixels that they enclose are the mask's.
///
/// Pixels of one part touch along their edges; parts that touch at a corner only are apart.
pub fn outlines(mask: &Rle) -> Vec<Polygon> {
    let Some(columns) = Columns::of(mask) else {
        return Vec::new();
    };
    let mut tracer = Tracer {
        columns: &columns,
        tops: BTreeMap::new(),
        lefts: BTreeMap::new(),
    };
    let mut rings = Vec::new();
    for (x, y) in columns.top_edges() {
        if !tracer.tops.contains_key(&(y, x)) {
            rings.push(tracer.trace(x, y, rings.len()));
        }
    }
    assemble(&rings, &tracer.lefts)
}

/// A traced ring.
struct Traced {
    corners: Ring,
    /// The top left pixel of the hole that it runs around, `(y, x)`; `None` for an exterior.
    hole: Option<(i64, i64)>,
}

/// Gives every hole to the exterior that it lies in.
fn assemble(rings: &[Traced], lefts: &BTreeMap<(i64, i64), usize>) -> Vec<Polygon> {
    let mut polygons: BTreeMap<usize, Polygon> = BTreeMap::new();
    for (index, ring) in rings.iter().enumerate() {
        // To the left of a hole's top left pixel lies the mask, up to an edge of an exterior or of
        // another hole: one that begins further up or further left, so that this comes to an end.
        let mut owner = index;
        while let Some((y, x)) = rings[owner].hole {
            let Some((_, &next)) = lefts.range((y, i64::MIN)..(y, x)).next_back() else {
                break;
            };
            owner = next;
        }
        let polygon = polygons.entry(owner).or_default();
        if ring.hole.is_some() {
            polygon.holes.push(ring.corners.clone());
        } else {
            polygon.exterior.clone_from(&ring.corners);
        }
    }
    polygons.into_values().collect()
}

/// The part of a mask within its box.
struct Columns {
    /// The left and upper edge of the box on the picture.
    origin: [u32; 2],
    /// By column of the box: its rows with the mask, in runs from the top that do not touch.
    runs: Vec<Vec<Range<i64>>>,
}

impl Columns {
    fn of(mask: &Rle) -> Option<Self> {
        let [x0, y0, x1, _] = mask.bbox()?;
        let mut runs = vec![Vec::new(); (x1 - x0) as usize];
        for (x, rows) in mask.spans() {
            runs[(x - x0) as usize].push(i64::from(rows.start - y0)..i64::from(rows.end - y0));
        }
        Some(Self {
            origin: [x0, y0],
            runs,
        })
    }

    fn contains(&self, x: i64, y: i64) -> bool {
        let column = usize::try_from(x).ok().and_then(|x| self.runs.get(x));
        column.is_some_and(|runs| {
            let before = runs.partition_point(|run| run.start <= y);
            before > 0 && runs[before - 1].contains(&y)
        })
    }

    /// The pixels `(x, y)`, row after row, that have none of the mask above them.
    fn top_edges(&self) -> Vec<(i64, i64)> {
        let columns = (0..).zip(&self.runs);
        let mut edges: Vec<_> = columns
            .flat_map(|(x, runs)| runs.iter().map(move |run| (x, run.start)))
            .collect();
        edges.sort_by_key(|&(x, y)| (y, x));
        edges
    }
}

/// Walks along edges with the mask to the right hand.
struct Tracer<'a> {
    columns: &'a Columns,
    /// The ring of each edge above a pixel, by the pixel's `(y, x)`. Every ring has one of these.
    tops: BTreeMap<(i64, i64), usize>,
    /// The ring of each edge to the left of a pixel, by the pixel's `(y, x)`.
    lefts: BTreeMap<(i64, i64), usize>,
}

impl Tracer<'_> {
    /// Follows the ring `index` that runs above the pixel.
    fn trace(&mut self, start_x: i64, start_y: i64, index: usize) -> Traced {
        const EAST: (i64, i64) = (1, 0);
        let [origin_x, origin_y] = self.columns.origin;
        let (mut x, mut y) = (start_x, start_y);
        let (mut dx, mut dy) = EAST;
        let mut corners = Ring::new();
        // Twice the area, positive clockwise.
        let mut area = 0;
        let mut top_left: Option<(i64, i64)> = None;
        loop {
            match (dx, dy) {
                (1, 0) => {
                    self.tops.insert((y, x), index);
                }
                (0, -1) => {
                    self.lefts.insert((y - 1, x), index);
                }
                // Along the lower edge of a pixel: of a hole, this is the upper edge.
                (-1, 0) => {
                    let below = (y, x - 1);
                    top_left = Some(top_left.map_or(below, |first| first.min(below)));
                }
                _ => {}
            }
            area += x * dy - y * dx;
            (x, y) = (x + dx, y + dy);

            let turned = self.turn((x, y), (dx, dy));
            if turned != (dx, dy) {
                corners.push([origin_x + x as u32, origin_y + y as u32]);
                (dx, dy) = turned;
            }
            if (x, y) == (start_x, start_y) && (dx, dy) == EAST {
                break;
            }
        }
        Traced {
            corners,
            hole: top_left.filter(|_| area < 0),
        }
    }

    /// Where the edge goes on from a corner point: right around the same pixel wherever it can, so that
    /// pixels that touch at this point only stay apart.
    fn turn(&self, (x, y): (i64, i64), (dx, dy): (i64, i64)) -> (i64, i64) {
        // The four pixels at a point are those at (x - 1 | x, y - 1 | y).
        let ahead = |side_x: i64, side_y: i64| {
            self.columns
                .contains(x + (dx + side_x - 1) / 2, y + (dy + side_y - 1) / 2)
        };
        let (right, left) = ((-dy, dx), (dy, -dx));
        if !ahead(right.0, right.1) {
            right
        } else if ahead(left.0, left.1) {
            left
        } else {
            (dx, dy)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Polygon, outlines};
    use crate::rle::Rle;

    /// The pixels whose centres an odd number of upright edges lie to the left of.
    fn fill(polygons: &[Polygon], height: u32, width: u32) -> Rle {
        let mut inside = vec![false; (height * width) as usize];
        for ring in polygons
            .iter()
            .flat_map(|polygon| std::iter::once(&polygon.exterior).chain(&polygon.holes))
        {
            for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                for y in a[1].min(b[1])..a[1].max(b[1]) {
                    for x in a[0]..width {
                        inside[(y * width + x) as usize] ^= true;
                    }
                }
            }
        }
        Rle::from_bitmap(height, width, &inside).unwrap()
    }

    fn mask(rows: &[&str]) -> Rle {
        let bitmap: Vec<bool> = rows.concat().chars().map(|c| c == '#').collect();
        Rle::from_bitmap(rows.len() as u32, rows[0].len() as u32, &bitmap).unwrap()
    }

    proptest! {
        #[test]
        fn outlines_enclose_exactly_the_mask(
            (height, width, bitmap) in (1..14u32, 1..14u32).prop_flat_map(|(height, width)| {
                let pixels = proptest::collection::vec(any::<bool>(), (height * width) as usize);
                (Just(height), Just(width), pixels)
            })
        ) {
            let mask = Rle::from_bitmap(height, width, &bitmap).unwrap();
            let polygons = outlines(&mask);
            prop_assert_eq!(&fill(&polygons, height, width), &mask);
            for polygon in &polygons {
                prop_assert!(!polygon.exterior.is_empty());
                // Every polygon by itself is one part: its holes lie within its exterior.
                let whole = fill(std::slice::from_ref(polygon), height, width);
                let without_holes = Polygon { holes: Vec::new(), ..polygon.clone() };
                let filled = fill(&[without_holes], height, width);
                // A quotient, as that of the areas is rounded: times the area it need not be whole again.
                prop_assert_eq!(whole.iou(&filled), whole.area() as f64 / filled.area() as f64);
            }
        }
    }

    #[test]
    fn a_ring_has_a_hole_and_an_island_in_it_is_a_part_of_its_own() {
        let polygons = outlines(&mask(&[
            "#######", //
            "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######",
        ]));
        assert_eq!(polygons.len(), 2);
        let ring = |x0, y0, x1, y1| vec![[x1, y0], [x1, y1], [x0, y1], [x0, y0]];
        assert_eq!(polygons[0].exterior, ring(0, 0, 7, 7));
        assert_eq!(polygons[0].holes.len(), 1);
        assert_eq!(polygons[1].exterior, ring(2, 2, 5, 5));
        assert_eq!(polygons[1].holes.len(), 1);
    }

    #[test]
    fn pixels_that_touch_at_a_corner_are_two_parts() {
        let polygons = outlines(&mask(&["#.", ".#"]));
        assert_eq!(polygons.len(), 2);
        assert!(polygons.iter().all(|polygon| polygon.exterior.len() == 4));
    }

    #[test]
    fn an_empty_mask_has_no_outline() {
        assert!(outlines(&mask(&["..", ".."])).is_empty());
    }
}
