//! Where an event happened, as far as a release sees it.

use super::View;
use crate::column::Cell;
use crate::event::Event;
use crate::policy::coarse::Coarse;
use crate::policy::form::Show;

/// What the last step of a pointer to a latitude is called, and to a longitude.
const LATITUDES: [&str; 2] = ["lat", "latitude"];
const LONGITUDES: [&str; 4] = ["lng", "lon", "long", "longitude"];

/// From where to where, in degrees. The same twice for what is exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// The lowest that it can be.
    pub low: f64,
    /// The greatest that it can be.
    pub high: f64,
}

impl Extent {
    /// A number that is as exact as it was sent.
    pub fn exact(value: f64) -> Self {
        Extent { low: value, high: value }
    }

    /// The middle.
    pub fn middle(self) -> f64 {
        self.low + (self.high - self.low) / 2.0
    }
}

/// A place on earth (WGS 84): a point, or the cell that it is somewhere in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// From south to north.
    pub latitude: Extent,
    /// From west to east.
    pub longitude: Extent,
}

impl Place {
    /// Of a latitude and a longitude, if there can be such a place.
    pub fn new(latitude: Extent, longitude: Extent) -> Option<Self> {
        let fits = |extent: Extent, most: f64| extent.low >= -most && extent.high <= most && extent.low <= extent.high;
        (fits(latitude, 90.0) && fits(longitude, 180.0)).then_some(Place { latitude, longitude })
    }

    /// Whether it is a point.
    pub fn is_exact(&self) -> bool {
        self.latitude.low == self.latitude.high && self.longitude.low == self.longitude.high
    }
}

impl View {
    /// Whether the release sees where events happened: two fields beside each other, one
    /// called `lat` or `latitude`, the other `lng`, `lon`, `long` or `longitude`.
    pub fn sees_places(&self) -> bool {
        self.axes().is_some()
    }

    /// Where an event happened, in the form in which the release sees it; absent if it
    /// does not, or the event does not say.
    pub fn place(&self, event: &Event) -> Option<Place> {
        let (latitude, longitude) = self.axes()?;
        let cells = self.cells(event);
        let extent = |at: usize| extent(&cells[*self.slots.get(at)?], &self.grant.show(&self.fields[at]));
        Place::new(extent(latitude)?, extent(longitude)?)
    }

    /// The fields that are latitude and longitude.
    fn axes(&self) -> Option<(usize, usize)> {
        let split = |at: usize| self.fields[at].pointer.rsplit_once('/');
        let is =
            |at: &usize, names: &[&str]| split(*at).is_some_and(|(_, name)| names.iter().any(|known| name.eq_ignore_ascii_case(known)));
        let all = 0..self.fields.len();
        all.clone().filter(|at| is(at, &LATITUDES)).find_map(|latitude| {
            let beside = |at: &usize| split(*at).map(|(parent, _)| parent) == split(latitude).map(|(parent, _)| parent);
            all.clone().find(|at| is(at, &LONGITUDES) && beside(at)).map(|longitude| (latitude, longitude))
        })
    }
}

/// What a value in a form can have been.
fn extent(cell: &Cell<'_>, show: &Show) -> Option<Extent> {
    let value = match cell {
        Cell::Float(value) if value.is_finite() => *value,
        Cell::Integer(value) => *value as f64,
        _ => return None,
    };
    let around = |half: f64| Extent { low: value - half, high: value + half };
    Some(match show {
        Show::Plain => Extent::exact(value),
        // A value is the middle of its cell.
        Show::Coarse(Coarse::Geohash { length, axis }) => around(cell_degrees(*length, *axis) / 2.0),
        // A value is the lowest of its step.
        Show::Coarse(Coarse::Step(step)) => Extent { low: value, high: value + step },
        Show::Coarse(Coarse::Digits) => around(10f64.powf(value.abs().max(1e-9).log10().floor() - 1.0)),
        Show::Coarse(Coarse::Unit(_)) | Show::Pseudonym(_) | Show::Mask { .. } | Show::Absent => return None,
    })
}

/// How wide the cell of a geohash is: five bits for each letter, in turn for both axes,
/// longitude first.
fn cell_degrees(length: u8, axis: crate::policy::coarse::Axis) -> f64 {
    let bits = 5 * u32::from(length);
    match axis {
        crate::policy::coarse::Axis::Latitude => 180.0 / f64::from(bits / 2).exp2(),
        crate::policy::coarse::Axis::Longitude => 360.0 / f64::from(bits.div_ceil(2)).exp2(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::coarse::Axis;

    #[test]
    fn a_coarse_position_is_a_cell_of_its_size() {
        // A geohash of five letters is 4.9 km wide and high.
        let geohash = |axis| Show::Coarse(Coarse::Geohash { length: 5, axis });
        let latitude = extent(&Cell::Float(39.96), &geohash(Axis::Latitude)).expect("a cell");
        let longitude = extent(&Cell::Float(-83.0), &geohash(Axis::Longitude)).expect("a cell");
        assert!(((latitude.high - latitude.low) - 180.0 / 4096.0).abs() < 1e-12);
        assert!(((longitude.high - longitude.low) - 360.0 / 8192.0).abs() < 1e-12);
        assert!((latitude.middle() - 39.96).abs() < 1e-12);
        let step = extent(&Cell::Float(39.9), &Show::Coarse(Coarse::Step(0.1))).expect("a step");
        assert!((step.low - 39.9).abs() < 1e-12 && (step.high - 40.0).abs() < 1e-9);
        assert_eq!(extent(&Cell::Float(1.5), &Show::Plain), Some(Extent::exact(1.5)));
        assert_eq!(extent(&Cell::Absent, &Show::Plain), None);
        assert_eq!(extent(&Cell::Text("x".into()), &Show::Plain), None);
    }

    #[test]
    fn there_are_no_places_beyond_the_poles() {
        assert!(Place::new(Extent::exact(91.0), Extent::exact(0.0)).is_none());
        assert!(Place::new(Extent::exact(f64::NAN), Extent::exact(0.0)).is_none());
        assert!(Place::new(Extent::exact(-90.0), Extent::exact(180.0)).is_some_and(|place| place.is_exact()));
    }
}
