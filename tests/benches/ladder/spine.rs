//! The whole path in process, with policies of one's choice.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ephor::bench::drive;
use ephor::policy::Grant;
use ephor::runtime::{By, Limits, Offer};
use ephor::{Runtime, ingest};
use ephor_tests::{binary, target_dir};

/// Events that are submitted together.
pub(crate) const GROUP: usize = 1_024;

/// A runtime with some policies.
pub(crate) struct Spine {
    runtime: Runtime,
    folder: Option<PathBuf>,
}

/// A policy that is loaded so many times, each time by another publisher.
pub(crate) struct Loaded {
    pub component: Vec<u8>,
    pub settings: String,
    pub times: usize,
}

/// A folder that is not there yet, on the disk that `target` is on.
pub(crate) fn fresh(name: &str) -> PathBuf {
    let folder = target_dir().join("bench-data").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(target_dir().join("bench-data")).expect("a folder");
    folder
}

impl Spine {
    /// Starts one: durable in a folder of that name, or in memory.
    pub async fn start(policies: &[Loaded], data: Option<&str>, limits: Limits) -> Spine {
        let folder = data.map(fresh);
        let mut builder = Runtime::builder().worker(binary()).cache(target_dir().join("it-cache")).spine(limits);
        if let Some(folder) = &folder {
            builder = builder.data(folder);
        }
        let runtime = builder.build().expect("a runtime");
        let mut office = 0;
        let mut offers = Vec::new();
        for Loaded { component, settings, times } in policies {
            let (component, settings): (Arc<[u8]>, Arc<[u8]>) = (component.as_slice().into(), settings.as_bytes().into());
            for _ in 0..*times {
                office += 1;
                let publisher = Some(format!("office-{office}"));
                offers.push(Offer { publisher, grant: Grant::development(), ..Offer::development(component.clone(), settings.clone()) });
            }
        }
        runtime.publish(offers, By::new("bench")).await.expect("policies in force");
        Spine { runtime, folder }
    }

    /// Nanoseconds per event from bytes to answers, and how many were judged with findings.
    pub async fn judge(&self, lines: Vec<Vec<u8>>) -> (f64, u64) {
        let events = lines.len() as u64;
        let driven = drive(&self.runtime, lines, &ingest::Limits::default()).await.expect("running");
        assert_eq!(driven.answers.verdicts.iter().sum::<u64>(), events, "every event is judged: {:?}", driven.answers);
        (driven.took.as_secs_f64() * 1e9 / events as f64, driven.answers.found)
    }

    pub async fn close(self) {
        self.runtime.close().await;
        if let Some(folder) = self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}
