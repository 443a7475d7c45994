//! Geographies: documents of the Geography API, and what of GeoJSON the settings take.
//!
//! Numbers stay the texts that they are, so that no coordinate is rounded on the way.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::document::within;
use super::settings;

#[derive(Deserialize)]
struct Document<'d> {
    #[serde(borrow, default)]
    geographies: Option<Vec<Geography<'d>>>,
    #[serde(borrow, default)]
    geography: Option<Geography<'d>>,
    #[serde(borrow, default)]
    data: Option<Data<'d>>,
}

#[derive(Deserialize)]
struct Data<'d> {
    #[serde(borrow)]
    geographies: Vec<Geography<'d>>,
}

#[derive(Deserialize)]
struct Geography<'d> {
    geography_id: String,
    name: String,
    #[serde(borrow)]
    geography_json: &'d RawValue,
}

/// Any object of GeoJSON.
#[derive(Deserialize)]
struct GeoJson<'d> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    features: Option<Vec<&'d RawValue>>,
    #[serde(borrow, default)]
    geometry: Option<&'d RawValue>,
    #[serde(borrow, default)]
    geometries: Option<Vec<&'d RawValue>>,
    #[serde(borrow, default)]
    coordinates: Option<&'d RawValue>,
}

type Position<'d> = Vec<&'d RawValue>;
type Polygon<'d> = Vec<Vec<Position<'d>>>;

/// The geographies of a document, by their ids.
pub struct Geographies<'d> {
    list: Vec<(String, Geography<'d>)>,
    by_id: BTreeMap<String, usize>,
}

impl<'d> Geographies<'d> {
    pub fn read(text: &'d str) -> anyhow::Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let document: Document<'d> =
            serde_path_to_error::deserialize(&mut json).map_err(|error| anyhow!("{}: {}", within(error.path()), error.inner()))?;
        let Document { geographies, geography, data } = document;
        let (place, list) = match (data, geographies, geography) {
            (Some(data), ..) => ("/data/geographies", data.geographies),
            (_, Some(list), _) => ("/geographies", list),
            (.., Some(one)) => ("/geography", vec![one]),
            _ => bail!("expected a list of geographies under /geographies or /data/geographies, found none"),
        };
        let at = |index: usize| if place == "/geography" { place.to_string() } else { format!("{place}/{index}") };
        let list: Vec<_> = list.into_iter().enumerate().map(|(index, geography)| (at(index), geography)).collect();
        let mut by_id = BTreeMap::new();
        for (index, (pointer, geography)) in list.iter().enumerate() {
            let before = by_id.insert(geography.geography_id.clone(), index);
            ensure!(before.is_none(), "{pointer}/geography_id: another geography has this id");
        }
        Ok(Self { list, by_id })
    }

    /// The ids that a geography has in the settings: one for each of its parts. Nothing if
    /// there is no such geography.
    pub fn parts(&self, id: &str) -> Option<anyhow::Result<Vec<String>>> {
        let &index = self.by_id.get(id)?;
        let (pointer, geography) = &self.list[index];
        let parts = geometries(geography.geography_json, &format!("{pointer}/geography_json"));
        Some(parts.map(|parts| ids(id, parts.len())))
    }

    /// The parts that rules name, as the settings have them.
    pub fn named<'i>(&self, names: impl Iterator<Item = &'i String>) -> anyhow::Result<Vec<settings::Geography>> {
        let names: BTreeSet<&String> = names.collect();
        let mut named = Vec::new();
        for (pointer, Geography { geography_id, name, geography_json }) in &self.list {
            // What no rule names need not even be a geometry.
            if !names.iter().any(|part| *part == geography_id || part.strip_prefix(geography_id).is_some_and(|rest| rest.starts_with('/')))
            {
                continue;
            }
            let parts = geometries(geography_json, &format!("{pointer}/geography_json"))?;
            let ids = ids(geography_id, parts.len()).into_iter();
            named.extend(ids.zip(parts).map(|(id, geometry)| settings::Geography { id, name: name.clone(), geometry }));
        }
        Ok(named)
    }
}

/// The geography's own id, or with a number behind if it has several parts.
fn ids(id: &str, parts: usize) -> Vec<String> {
    if parts == 1 { vec![id.to_string()] } else { (0..parts).map(|part| format!("{id}/{part}")).collect() }
}

/// The polygons and multipolygons in something of GeoJSON. Fails with the place of what
/// has no inside.
pub fn geometries(json: &RawValue, pointer: &str) -> anyhow::Result<Vec<Box<RawValue>>> {
    let GeoJson { kind, features, geometry, geometries: several, coordinates } =
        serde_json::from_str(json.get()).with_context(|| format!("{pointer}: expected an object of GeoJSON"))?;
    let all = |list: Option<Vec<&RawValue>>, member: &str| -> anyhow::Result<Vec<Box<RawValue>>> {
        let list = list.with_context(|| format!("{pointer}/{member}: expected a list, found none"))?;
        ensure!(!list.is_empty(), "{pointer}/{member}: expected one or more, found none");
        let mut found = Vec::new();
        for (index, json) in list.into_iter().enumerate() {
            found.extend(geometries(json, &format!("{pointer}/{member}/{index}"))?);
        }
        Ok(found)
    };
    let coordinates = || coordinates.with_context(|| format!("{pointer}/coordinates: expected a list, found none"));
    let at = format!("{pointer}/coordinates");
    match kind.as_str() {
        "FeatureCollection" => all(features, "features"),
        "GeometryCollection" => all(several, "geometries"),
        "Feature" => geometries(
            geometry.with_context(|| format!("{pointer}/geometry: expected a geometry, found none"))?,
            &format!("{pointer}/geometry"),
        ),
        "Polygon" => Ok(vec![written(&kind, &polygon(&parsed(coordinates()?, &at)?, &at)?)?]),
        "MultiPolygon" => {
            let polygons: Vec<Polygon<'_>> = parsed(coordinates()?, &at)?;
            let texts = polygons.iter().enumerate().map(|(index, rings)| polygon(rings, &format!("{at}/{index}")));
            let texts: Vec<String> = texts.collect::<anyhow::Result<_>>()?;
            Ok(vec![written(&kind, &format!("[{}]", texts.join(",")))?])
        }
        _ => bail!("{pointer}/type: expected a Polygon or MultiPolygon, found {kind:?}, which has no inside"),
    }
}

fn parsed<'d, T: Deserialize<'d>>(json: &'d RawValue, pointer: &str) -> anyhow::Result<T> {
    let mut json = serde_json::Deserializer::from_str(json.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| anyhow!("{pointer}{}: {}", within(error.path()), error.inner()))
}

/// The rings of a polygon as text: of each position longitude and latitude.
fn polygon(rings: &Polygon<'_>, pointer: &str) -> anyhow::Result<String> {
    ensure!(!rings.is_empty(), "{pointer}: expected an outer ring");
    let mut texts = Vec::new();
    for (index, ring) in rings.iter().enumerate() {
        ensure!(ring.len() >= 4, "{pointer}/{index}: expected four positions or more in each ring");
        let mut positions = Vec::new();
        for (at, position) in ring.iter().enumerate() {
            let [lng, lat, ..] = position[..] else { bail!("{pointer}/{index}/{at}: expected longitude and latitude") };
            for (axis, (number, most)) in [(lng, 180.0), (lat, 90.0)].into_iter().enumerate() {
                let is_degrees = number.get().parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most);
                ensure!(
                    is_degrees,
                    "{pointer}/{index}/{at}/{axis}: expected longitude (-180 to 180), then latitude (-90 to 90), found {}",
                    number.get()
                );
            }
            positions.push(format!("[{},{}]", lng.get(), lat.get()));
        }
        texts.push(format!("[{}]", positions.join(",")));
    }
    Ok(format!("[{}]", texts.join(",")))
}

fn written(kind: &str, coordinates: &str) -> anyhow::Result<Box<RawValue>> {
    Ok(RawValue::from_string(format!("{{\"type\":\"{kind}\",\"coordinates\":{coordinates}}}"))?)
}
