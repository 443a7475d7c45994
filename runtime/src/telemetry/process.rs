//! The figures of the process, by the names that every Prometheus client gives them.
//!
//! Read from `/proc` whenever somebody looks; absent where there is none.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::stats::Stats;

/// Adds them to a page.
pub fn register(stats: &Stats) {
    stats.register_process(|registry| registry.register_collector(Box::new(Process)));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(figures) = Figures::read() else { return Ok(()) };
        let name = "process_cpu_seconds";
        let counter = ConstCounter::new(figures.cpu);
        counter.encode(encoder.encode_descriptor(name, "Processor time in seconds", None, MetricType::Counter)?)?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory", figures.resident),
            ("process_virtual_memory_bytes", "Virtual memory, most of it address space that policies reserve", figures.virtual_memory),
            ("process_threads", "Threads", figures.threads),
            ("process_open_fds", "Open file descriptors", figures.open_fds),
            ("process_max_fds", "Open file descriptors that there may be", figures.max_fds),
            ("process_start_time_seconds", "When the process started, in seconds since 1970", figures.started),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

struct Figures {
    cpu: f64,
    resident: f64,
    virtual_memory: f64,
    threads: f64,
    open_fds: f64,
    max_fds: f64,
    started: f64,
}

/// Ticks of a second in what the kernel tells programs, on every architecture that Linux
/// runs on (`USER_HZ`).
const TICKS: f64 = 100.0;

impl Figures {
    fn read() -> Option<Figures> {
        let read = |file: &str| std::fs::read_to_string(file).ok();
        let (stat, status, boot, limits) =
            (read("/proc/self/stat")?, read("/proc/self/status")?, read("/proc/stat")?, read("/proc/self/limits")?);
        // The name of the program is in parentheses, and may have some itself (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Numbered from 3 on, as in the manual.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let first = |text: &str, name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next().map(str::to_string)
        };
        let number = |text: &str, name: &str| first(text, name)?.parse::<f64>().ok();
        Some(Figures {
            cpu: (field(14)? + field(15)?) / TICKS,
            resident: number(&status, "VmRSS:")? * 1024.0,
            virtual_memory: number(&status, "VmSize:")? * 1024.0,
            threads: number(&status, "Threads:")?,
            open_fds: std::fs::read_dir("/proc/self/fd").ok()?.count() as f64,
            max_fds: first(&limits, "Max open files")?.parse().unwrap_or(f64::INFINITY),
            started: number(&boot, "btime ")? + field(22)? / TICKS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let figures = Figures::read().expect("Linux has them");
        assert!(figures.resident > 1e6 && figures.virtual_memory >= figures.resident);
        assert!(figures.threads >= 1.0 && figures.open_fds >= 3.0 && figures.max_fds >= figures.open_fds);
        let now = time::OffsetDateTime::now_utc().unix_timestamp() as f64;
        assert!((now - 86_400.0..now + 60.0).contains(&figures.started), "{} and it is {now}", figures.started);
    }
}
