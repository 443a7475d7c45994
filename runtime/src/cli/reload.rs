//! Reads the configuration again while the server runs, on SIGHUP and when its file
//! changes. What can be taken over is; what cannot is named; a file with problems changes
//! nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ephor::config::{ConfigError, Problem, Report};
use ephor::publishers::Publishers;
use ephor::server::Limiter;
use ephor::stamp::Stamp;
use ephor::telemetry::log::{self, Levels};
use ephor::tls::Door;
use ephor::{Config, Runtime};
use tokio::signal::unix::Signal;

use super::config;

/// Time between two looks at the file. A change is taken when two looks in a row find
/// the same, so that a file that is being written is not.
const POLL: Duration = Duration::from_millis(500);

/// What a configuration is taken over into.
pub struct Reload {
    /// Absent if there is none, and SIGHUP has nothing to read.
    pub file: Option<PathBuf>,
    /// As it runs.
    pub running: Config,
    pub runtime: Runtime,
    pub limiter: Limiter,
    /// Whose certificates are read again as well, where there is TLS.
    pub door: Option<Door>,
    pub levels: Levels,
    pub publishers: Option<Arc<Publishers>>,
}

impl Reload {
    /// Follows signals and the file. Never returns.
    pub async fn follow(mut self, mut hangups: Signal) {
        let mut taken = self.stamp();
        let mut seen = taken;
        loop {
            tokio::select! {
                _ = hangups.recv() => {
                    taken = self.stamp();
                    seen = taken;
                    self.reload("SIGHUP").await;
                    if let Some(door) = &self.door {
                        door.read_again("SIGHUP");
                    }
                }
                () = tokio::time::sleep(POLL) => {
                    let now = self.stamp();
                    if now.is_some() && now == seen && now != taken {
                        taken = now;
                        self.reload("the file changed").await;
                    }
                    seen = now;
                    if let Some(door) = &self.door {
                        door.look();
                    }
                }
            }
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        Stamp::of(self.file.as_ref()?)
    }

    async fn reload(&mut self, why: &str) {
        let Some(file) = self.file.clone() else {
            tracing::warn!(why, "There is no configuration to read again: `serve` was started without --config");
            return;
        };
        let new = match read(&file) {
            Ok((new, _)) => new,
            Err(wrong) => {
                tracing::error!(problems = wrong.problems(), "Configuration not taken over; nothing is changed");
                wrong.lines().iter().for_each(|line| tracing::error!("{line}"));
                return;
            }
        };
        let taken = self.running.taking_over(&new);
        let (changed, left) = (self.running.differences(&taken), taken.differences(&new));
        tracing::info!(file = %file.display(), why, changed = changed.len(), "Configuration read again");
        if !changed.is_empty() {
            if let Some(door) = self.door.as_ref().filter(|_| taken.server.tls != self.running.server.tls)
                && let Err(error) = door.settle(&with_base(&taken, &file).server.tls)
            {
                tracing::error!(%error, "Configuration not taken over; nothing is changed");
                return;
            }
            if taken.spine.heartbeats != self.running.spine.heartbeats
                && let Err(error) = self.runtime.declare_heartbeats(taken.spine.heartbeats.clone()).await
            {
                tracing::error!(%error, "The heartbeats are not taken over");
                return;
            }
            self.limiter.limit(&with_base(&taken, &file).server, taken.ingest.clone());
            self.levels.set(&taken.telemetry.log.level);
            if let Some(publishers) = self.publishers.as_ref().filter(|_| taken.publishers != self.running.publishers) {
                publishers.resettle(&taken.publishers);
            }
        }
        let said: Vec<String> = changed.iter().map(ToString::to_string).collect();
        if !said.is_empty()
            && let Err(error) = self.runtime.note_configuration(&said, why).await
        {
            tracing::error!(%error, "The ledger does not have that the configuration changed");
        }
        for difference in changed {
            tracing::info!("Changed: {difference}");
        }
        for difference in left {
            tracing::warn!("Needs a restart: {difference}");
        }
        self.running = taken;
    }
}

/// Why a file is no configuration.
enum Wrong {
    Unreadable(ConfigError),
    Problems(Report),
}

impl Wrong {
    fn problems(&self) -> usize {
        match self {
            Wrong::Unreadable(_) => 1,
            Wrong::Problems(report) => report.problems.len(),
        }
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Wrong::Unreadable(error) => {
                vec![anyhow::Chain::new(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")]
            }
            Wrong::Problems(report) => report.problems.iter().map(|problem| format!("{}:{problem}", report.file.display())).collect(),
        }
    }
}

/// A configuration, with folders that it names and that are not there yet; or everything
/// that is wrong with it.
fn read(file: &Path) -> Result<(Config, Vec<Problem>), Wrong> {
    let checked = Config::check(file).map_err(Wrong::Unreadable)?;
    let base = config::base(Some(file));
    let mut problems = checked.problems.clone();
    problems.extend(checked.missing_files(&base));
    if !problems.is_empty() {
        return Err(Wrong::Problems(Report { file: file.into(), problems }));
    }
    let missing = checked.missing_folders(&base);
    Ok((checked.config, missing))
}

/// Reads the configuration of a server that starts, and sets up the log as it says. What
/// there is to say of it is said there. In development that has what policies say as well.
///
/// # Errors
///
/// With everything that is wrong with it.
pub fn at_start(file: Option<&Path>, is_development: bool) -> super::exit::Outcome<(Config, Levels)> {
    use super::exit::{Exit, Or as _, failed};
    let Some(file) = file else {
        let config = Config::default();
        let levels = log::set_up(&config.telemetry.log, is_development);
        tracing::info!("No configuration file: every key has its default (`ephor config reference` shows them)");
        return Ok((config, levels));
    };
    let (config, missing) = match read(file) {
        Ok(read) => read,
        Err(Wrong::Unreadable(error)) => return Err(error).or_exit(Exit::Usage),
        Err(Wrong::Problems(report)) => return Err(failed(Exit::Usage, format!("{} is not a configuration\n{report}", file.display()))),
    };
    let levels = log::set_up(&config.telemetry.log, is_development);
    for problem in missing {
        tracing::warn!("{}:{problem}", file.display());
    }
    tracing::info!(file = %file.display(), "Configuration read");
    Ok((config, levels))
}

/// The same with its folders from where the file is.
pub fn with_base(config: &Config, file: &Path) -> Config {
    let base = config::base(Some(file));
    let mut config = config.clone();
    config.server.repositories.values_mut().for_each(|folder| *folder = base.join(&*folder));
    config.server.tls = config.server.tls.below(&base);
    config
}
