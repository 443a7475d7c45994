//! Whether a point is inside an area, by even-odd ray casting.
//!
//! A ray goes from the point towards greater x; the point is inside a ring if
//! the ray crosses an odd number of its edges. The arithmetic, including its
//! order, is part of the rule: another order can decide otherwise about a
//! point on a boundary.

use std::ops::Range;

use ephor_sdk::prelude::*;

/// A position: longitude and latitude in degrees.
type Position = [f64; 2];

/// A `GeoJSON` geometry (RFC 7946, sections 3.1.6 and 3.1.7). In each polygon
/// the first ring is the outer one and the others are holes.
#[settings]
#[serde(tag = "type", content = "coordinates")]
pub(crate) enum Geometry {
    Polygon(Vec<Vec<Position>>),
    MultiPolygon(Vec<Vec<Vec<Position>>>),
}

/// All areas, laid out flat.
#[derive(Default)]
pub(crate) struct Areas {
    /// For each polygon where its rings are.
    polygons: Vec<Range<u32>>,
    rings: Vec<Ring>,
    /// For each ring and slab where the slab's edges begin; one more at the end of each ring.
    slabs: Vec<u32>,
    edges: Vec<Edge>,
}

/// One area: a box that its outer rings fit in, and its polygons.
pub(crate) struct Area {
    low: Position,
    high: Position,
    polygons: Range<u32>,
}

/// A ring is cut into slabs of equal height. A slab has all edges that a ray at
/// a height in it can cross, so that few have to be tried.
struct Ring {
    low: f64,
    high: f64,
    slabs_per_degree: f64,
    last_slab: u32,
    first: u32,
}

/// From the point `i` to the one before it in the ring, `j`.
#[derive(Clone, Copy)]
struct Edge {
    xi: f64,
    yi: f64,
    yj: f64,
    xj_xi: f64,
    yj_yi: f64,
}

impl Ring {
    /// Grows with `y`, so that the slabs from that of an edge's lower end to
    /// that of its upper end include those of all heights between them,
    /// however the arithmetic rounds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, which keeps the order")]
    fn slab(&self, y: f64) -> u32 {
        (((y - self.low) * self.slabs_per_degree) as u32).min(self.last_slab)
    }
}

impl Areas {
    /// Adds an area. Fails with what is wrong with the geometry.
    pub(crate) fn add(&mut self, geometry: Geometry) -> Result<Area, &'static str> {
        let polygons = match geometry {
            Geometry::Polygon(rings) => vec![rings],
            Geometry::MultiPolygon(polygons) => polygons,
        };
        let first = count(self.polygons.len());
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for rings in &polygons {
            let Some(outer) = rings.first() else {
                return Err("expected an outer ring in each polygon");
            };
            if rings.iter().any(|ring| ring.len() < 4) {
                return Err("expected four positions or more in each ring");
            }
            for position in outer {
                for axis in 0..2 {
                    low[axis] = low[axis].min(position[axis]);
                    high[axis] = high[axis].max(position[axis]);
                }
            }
            let start = count(self.rings.len());
            for ring in rings {
                self.add_ring(ring);
            }
            self.polygons.push(start..count(self.rings.len()));
        }
        Ok(Area { low, high, polygons: first..count(self.polygons.len()) })
    }

    fn add_ring(&mut self, positions: &[Position]) {
        let before = positions.iter().cycle().skip(positions.len() - 1);
        let edges: Vec<_> = positions
            .iter()
            .zip(before)
            // A level edge is never crossed.
            .filter(|([_, yi], [_, yj])| yi != yj)
            .map(|(&[xi, yi], &[xj, yj])| Edge { xi, yi, yj, xj_xi: xj - xi, yj_yi: yj - yi })
            .collect();
        let heights = || positions.iter().map(|[_, y]| *y);
        let mut ring = Ring {
            low: heights().fold(f64::INFINITY, f64::min),
            high: heights().fold(f64::NEG_INFINITY, f64::max),
            slabs_per_degree: 0.0,
            last_slab: 0,
            first: count(self.slabs.len()),
        };
        // As many slabs as edges, or fewer if tall edges would be in very many of them.
        let mut slabs = edges.len().max(1);
        loop {
            ring.last_slab = count(slabs) - 1;
            ring.slabs_per_degree = f64::from(count(slabs)) / (ring.high - ring.low);
            let entries: usize = edges.iter().map(|edge| reach(&ring, edge).len()).sum();
            if slabs == 1 || entries <= 4 * edges.len() {
                break;
            }
            slabs /= 2;
        }
        let mut by_slab = vec![Vec::new(); slabs];
        for edge in &edges {
            for slab in reach(&ring, edge) {
                by_slab[slab].push(*edge);
            }
        }
        for edges in by_slab {
            self.slabs.push(count(self.edges.len()));
            self.edges.extend(edges);
        }
        self.slabs.push(count(self.edges.len()));
        self.rings.push(ring);
    }

    /// Whether the point is inside one of the area's outer rings and in none of that ring's holes.
    pub(crate) fn contains(&self, area: &Area, x: f64, y: f64) -> bool {
        let in_box = area.low[0] <= x && x <= area.high[0] && area.low[1] <= y && y <= area.high[1];
        in_box
            && self.polygons[range(&area.polygons)].iter().any(|polygon| {
                let rings = &self.rings[range(polygon)];
                self.in_ring(&rings[0], x, y) && !rings[1..].iter().any(|hole| self.in_ring(hole, x, y))
            })
    }

    fn in_ring(&self, ring: &Ring, x: f64, y: f64) -> bool {
        if y < ring.low || y >= ring.high {
            return false;
        }
        let slab = (ring.first + ring.slab(y)) as usize;
        let edges = self.slabs[slab] as usize..self.slabs[slab + 1] as usize;
        self.edges[edges].iter().fold(false, |inside, edge| {
            let crossed = (edge.yi > y) != (edge.yj > y) && x < edge.xj_xi * (y - edge.yi) / edge.yj_yi + edge.xi;
            inside != crossed
        })
    }
}

/// The slabs that an edge is in.
fn reach(ring: &Ring, edge: &Edge) -> Range<usize> {
    let low = ring.slab(edge.yi.min(edge.yj));
    let high = ring.slab(edge.yi.max(edge.yj));
    low as usize..high as usize + 1
}

fn range(of: &Range<u32>) -> Range<usize> {
    of.start as usize..of.end as usize
}

/// Settings that fit into a component's memory have fewer than 2³² of anything.
fn count(items: usize) -> u32 {
    u32::try_from(items).expect("a component has less than 4 GiB")
}
