//! Outlines out of a policy's settings: whatever has a GeoJSON geometry there (RFC 7946,
//! Polygon and MultiPolygon).

use serde_json::{Map, Value};

/// Outlines, and their corners, that are taken from one document.
const OUTLINES_MAX: usize = 5_000;
const CORNERS_MAX: usize = 500_000;

/// How deep a document is looked through.
const DEPTH_MAX: usize = 12;

/// An area that something is ruled for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outline {
    /// What it is called, if it says so.
    pub name: Option<String>,
    /// What kind of area it is (`no_parking`), if it says so.
    pub kind: Option<String>,
    /// Rings of longitude and latitude in degrees, holes among them: what is inside of an
    /// odd number of them is inside.
    pub rings: Vec<Vec<(f64, f64)>>,
}

/// Every geometry of a document, in order, with what is said beside it: GeoJSON features,
/// and any other object that has a member `geometry`.
pub fn outlines(settings: &Value) -> Vec<Outline> {
    let mut found = Found { outlines: Vec::new(), corners: 0 };
    found.walk(settings, 0);
    found.outlines
}

struct Found {
    outlines: Vec<Outline>,
    corners: usize,
}

impl Found {
    fn walk(&mut self, value: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, depth + 1)),
            Value::Object(members) => match members.get("geometry") {
                Some(geometry) => self.take(members, geometry),
                None => members.values().for_each(|member| self.walk(member, depth + 1)),
            },
            _ => {}
        }
    }

    fn take(&mut self, about: &Map<String, Value>, geometry: &Value) {
        let rings = rings(geometry);
        let corners: usize = rings.iter().map(Vec::len).sum();
        if rings.is_empty() || self.outlines.len() >= OUTLINES_MAX || self.corners + corners > CORNERS_MAX {
            return;
        }
        self.corners += corners;
        let properties = about.get("properties").and_then(Value::as_object);
        let text = |is: &dyn Fn(&str) -> bool| {
            let all = properties.into_iter().flatten().chain(about);
            let mut texts = all.filter_map(|(name, value)| is(name).then(|| value.as_str()).flatten());
            texts.find(|text| !text.is_empty()).map(str::to_string)
        };
        let name = text(&|name| matches!(name, "name" | "geography_name" | "title")).or_else(|| text(&|name| name.ends_with("_name")));
        let kind = text(&|name| matches!(name, "kind" | "boundary_type") || name.ends_with("_type"));
        self.outlines.push(Outline { name, kind, rings });
    }
}

fn rings(geometry: &Value) -> Vec<Vec<(f64, f64)>> {
    let coordinates = geometry.get("coordinates").and_then(Value::as_array);
    let polygons: Vec<&Value> = match (geometry.get("type").and_then(Value::as_str), coordinates) {
        (Some("Polygon"), Some(rings)) => rings.iter().collect(),
        (Some("MultiPolygon"), Some(polygons)) => polygons.iter().filter_map(Value::as_array).flatten().collect(),
        _ => Vec::new(),
    };
    let ring = |ring: &Value| {
        let corners: Option<Vec<(f64, f64)>> = ring.as_array()?.iter().map(corner).collect();
        corners.filter(|corners| corners.len() >= 3)
    };
    polygons.into_iter().filter_map(ring).collect()
}

fn corner(position: &Value) -> Option<(f64, f64)> {
    let degrees = |at: usize, most: f64| position.get(at)?.as_f64().filter(|value| value.abs() <= most);
    Some((degrees(0, 180.0)?, degrees(1, 90.0)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn geometries_are_found_wherever_they_stand() {
        let ring = json!([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]);
        let settings = json!({
            "features": [
                {"type": "Feature", "properties": {"boundary_type": "no_ride", "policy_name": "P", "geography_name": "Park"},
                 "geometry": {"type": "Polygon", "coordinates": [ring, ring]}},
                {"geometry": {"type": "Point", "coordinates": [0.0, 0.0]}},
            ],
            "inner": {"geographies": [{"id": "1", "name": "Square", "geometry": {"type": "MultiPolygon", "coordinates": [[ring], [ring, ring]]}}]},
            "geometry_is": "a word",
        });
        let found = outlines(&settings);
        let said: Vec<_> = found.iter().map(|outline| (outline.name.as_deref(), outline.kind.as_deref(), outline.rings.len())).collect();
        assert_eq!(said, [(Some("Park"), Some("no_ride"), 2), (Some("Square"), None, 3)]);
        assert_eq!(found[0].rings[0][1], (1.0, 0.0));
    }

    #[test]
    fn what_is_no_ring_is_left_out() {
        for coordinates in [json!([[[0.0, 0.0], [1.0, 1.0]]]), json!([[[0.0, 0.0], [1.0, 0.0], [1.0, 99.0]]]), json!("x"), json!([[["a"]]])]
        {
            assert_eq!(outlines(&json!({"geometry": {"type": "Polygon", "coordinates": coordinates}})), []);
        }
    }
}
