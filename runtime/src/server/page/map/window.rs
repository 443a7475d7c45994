//! What part of the earth is drawn, and where on the drawing a place is: equirectangular,
//! with longitudes shortened by the cosine of the middle latitude, which is right for a
//! city and good enough for a country.

use crate::places::{Outline, Place, Spot};

/// Size of the drawing.
pub(super) const WIDTH: f64 = 1_000.0;
pub(super) const HEIGHT: f64 = 600.0;

/// Room around what is there, as a part of it.
const MARGIN: f64 = 0.08;

/// Metres of a degree of latitude, about.
const METRES: f64 = 111_320.0;

/// The narrowest that is drawn, in degrees: some 20 metres.
const NARROWEST: f64 = 0.0002;

/// Steps of zoom, each twice as near.
pub(super) const ZOOM_MAX: u8 = 14;

/// From where to where, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub south: f64,
    pub north: f64,
    pub west: f64,
    pub east: f64,
}

impl Bounds {
    fn of(mut places: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let (lng, lat) = places.next()?;
        let first = Bounds { south: lat, north: lat, west: lng, east: lng };
        Some(places.fold(first, |bounds, (lng, lat)| bounds.with(lng, lat)))
    }

    fn with(self, lng: f64, lat: f64) -> Self {
        Bounds { south: self.south.min(lat), north: self.north.max(lat), west: self.west.min(lng), east: self.east.max(lng) }
    }

    fn grown(self, by: f64) -> Self {
        let (high, wide) = ((self.north - self.south).max(NARROWEST) * by, (self.east - self.west).max(NARROWEST) * by);
        Bounds { south: self.south - high, north: self.north + high, west: self.west - wide, east: self.east + wide }
    }

    fn has(&self, lng: f64, lat: f64) -> bool {
        (self.south..=self.north).contains(&lat) && (self.west..=self.east).contains(&lng)
    }

    /// What a map shows at first: the outlines, and the findings near them; without
    /// outlines, where most findings are. One that is far away must not make all others a
    /// dot.
    pub fn whole(outlines: &[Outline], spots: &[Spot]) -> Option<Self> {
        let middles = || spots.iter().map(|spot| (spot.place.longitude.middle(), spot.place.latitude.middle()));
        if let Some(ruled) = Bounds::of(outlines.iter().flat_map(|outline| outline.rings.iter().flatten().copied())) {
            let near = ruled.grown(1.0);
            return Some(middles().filter(|(lng, lat)| near.has(*lng, *lat)).fold(ruled, |bounds, (lng, lat)| bounds.with(lng, lat)));
        }
        Bounds::of_most(spots)
    }

    /// Where most findings are.
    fn of_most(spots: &[Spot]) -> Option<Self> {
        let (west, east) = most(spots.iter().map(|spot| spot.place.longitude.middle()).collect())?;
        let (south, north) = most(spots.iter().map(|spot| spot.place.latitude.middle()).collect())?;
        Some(Bounds { south, north, west, east })
    }
}

/// Where most of some numbers are: without the fiftieth part of them at either end.
fn most(mut all: Vec<f64>) -> Option<(f64, f64)> {
    all.sort_by(f64::total_cmp);
    let cut = all.len() / 50;
    Some((*all.get(cut)?, *all.get(all.len().checked_sub(1 + cut)?)?))
}

/// A part of the earth on the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// The middle.
    pub lat: f64,
    pub lng: f64,
    pub zoom: u8,
    /// Of the drawing, for a degree of latitude.
    pub scale: f64,
    /// How much shorter a degree of longitude is.
    pub shrink: f64,
}

impl Window {
    /// The whole, so many times twice as near, around a middle of its own if it has one.
    pub fn new(whole: Bounds, zoom: u8, middle: Option<(f64, f64)>) -> Self {
        let whole = whole.grown(MARGIN);
        let (lat, lng) = middle.unwrap_or(((whole.south + whole.north) / 2.0, (whole.west + whole.east) / 2.0));
        let lat = lat.clamp(-85.0, 85.0);
        let shrink = lat.to_radians().cos();
        let fits = (HEIGHT / (whole.north - whole.south)).min(WIDTH / ((whole.east - whole.west) * shrink));
        let zoom = zoom.min(ZOOM_MAX);
        Window { lat, lng: lng.clamp(-180.0, 180.0), zoom, scale: fits * f64::from(zoom).exp2(), shrink }
    }

    /// What is shown at first: as near as most findings allow.
    pub fn first(whole: Bounds, spots: &[Spot]) -> Self {
        let all = Window::new(whole, 0, None);
        let Some(most) = Bounds::of_most(spots).map(|most| most.grown(MARGIN)) else { return all };
        let fits = (HEIGHT / (most.north - most.south)).min(WIDTH / ((most.east - most.west) * all.shrink));
        let zoom = (fits / all.scale).log2().floor().clamp(0.0, f64::from(ZOOM_MAX / 2)) as u8;
        match zoom {
            0 => all,
            zoom => Window::new(whole, zoom, Some(((most.south + most.north) / 2.0, (most.west + most.east) / 2.0))),
        }
    }

    pub fn x(&self, lng: f64) -> f64 {
        WIDTH / 2.0 + (lng - self.lng) * self.shrink * self.scale
    }

    pub fn y(&self, lat: f64) -> f64 {
        HEIGHT / 2.0 - (lat - self.lat) * self.scale
    }

    /// The middle of what is so many drawings to the east and to the north.
    pub fn moved(&self, east: f64, north: f64) -> (f64, f64) {
        (self.lat + north * HEIGHT / self.scale, self.lng + east * WIDTH / (self.scale * self.shrink))
    }

    /// Whether some of a place is on the drawing.
    pub fn shows(&self, place: &Place) -> bool {
        self.x(place.longitude.high) >= 0.0
            && self.x(place.longitude.low) <= WIDTH
            && self.y(place.latitude.high) <= HEIGHT
            && self.y(place.latitude.low) >= 0.0
    }

    /// A round length and how long it is on the drawing, about a sixth of its width.
    pub fn rule(&self) -> (u64, f64) {
        let metres = METRES / self.scale;
        let most = WIDTH / 6.0 * metres;
        let ten = 10f64.powf(most.log10().floor());
        let length = [5.0, 2.0, 1.0].into_iter().map(|n| n * ten).find(|length| *length <= most).unwrap_or(ten).max(1.0);
        (length as u64, length / metres)
    }
}

/// How large a cell is, in metres: from west to east, and from south to north.
pub(super) fn size(place: &Place) -> (u64, u64) {
    let shrink = place.latitude.middle().to_radians().cos();
    let metres = |degrees: f64| (degrees * METRES).round() as u64;
    (metres((place.longitude.high - place.longitude.low) * shrink), metres(place.latitude.high - place.latitude.low))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMBUS: Bounds = Bounds { south: 39.9, north: 40.1, west: -83.1, east: -82.9 };

    #[test]
    fn the_whole_is_on_the_drawing() {
        let window = Window::new(COLUMBUS, 0, None);
        for (lng, lat) in [(-83.1, 39.9), (-82.9, 40.1)] {
            assert!((0.0..=WIDTH).contains(&window.x(lng)) && (0.0..=HEIGHT).contains(&window.y(lat)));
        }
        assert!(window.y(40.1) < window.y(39.9) && window.x(-83.1) < window.x(-82.9), "north is up, east is right");
        // A kilometre is as long in both directions.
        let (north, east) = (window.y(39.9) - window.y(40.0), window.x(-82.9) - window.x(-83.0));
        assert!((east / north - 40f64.to_radians().cos()).abs() < 1e-6, "{east} {north}");
    }

    #[test]
    fn nearer_is_larger_around_the_same_middle() {
        let (far, near) = (Window::new(COLUMBUS, 0, None), Window::new(COLUMBUS, 2, None));
        assert!((near.scale / far.scale - 4.0).abs() < 1e-9 && near.lat == far.lat);
        let (lat, lng) = far.moved(1.0, 0.0);
        assert!(lat == far.lat && (far.x(lng) - 1.5 * WIDTH).abs() < 1e-6);
        let (metres, pixels) = far.rule();
        assert!(metres == 5_000 && pixels > 40.0 && pixels < WIDTH / 5.0, "{metres} {pixels}");
    }

    #[test]
    fn a_point_has_some_room_around_it() {
        let point = Bounds { south: 1.0, north: 1.0, west: 2.0, east: 2.0 };
        assert!(Window::new(point, 0, None).scale.is_finite());
    }
}
