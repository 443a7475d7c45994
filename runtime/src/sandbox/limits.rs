//! What a policy may use. Shopify, Fastly and CosmWasm set theirs in the same
//! order of magnitude; each number says what it protects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Language;

/// Bounds on one policy. Counts of instructions are in fuel, wasmtime's
/// deterministic measure: about one unit per instruction, one per byte of a bulk
/// operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Fuel of one call of `evaluate`, whatever the number of its rows: the
    /// budget of one event. A call that runs out is repeated with fewer rows, so
    /// that whether an event gets an answer does not depend on its neighbours.
    #[schemars(range(min = 1_000, max = u64::MAX / 4))]
    pub event_fuel_max: u64,
    /// Fuel of `describe` and of `configure`.
    #[schemars(range(min = 1_000, max = u64::MAX / 4))]
    pub setup_fuel_max: u64,
    /// Memory of one instance in bytes, over all its memories together.
    #[schemars(range(min = 1 << 16, max = 1u64 << 32))]
    pub memory_bytes_max: usize,
    /// Elements of one instance's tables together.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub table_elements_max: usize,
    /// Time of one call in milliseconds, after which it is ended. A safety net
    /// for a host that stalls, many times the time that the fuel lasts.
    #[schemars(range(min = 1, max = 60_000))]
    pub call_ms_max: u64,
    /// Bytes that one call may hand to the host: findings, states, a log line.
    #[schemars(range(min = 1 << 10, max = 1 << 30))]
    pub output_bytes_max: usize,
    /// Resource handles of one instance; the contract needs none.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub handles_max: usize,
    /// Findings on one row.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub row_findings_max: usize,
    /// Bytes of evidence on one row.
    #[schemars(range(min = 0, max = 1 << 30))]
    pub row_evidence_bytes_max: usize,
    /// Bytes of one key's state.
    #[schemars(range(min = 0, max = 1 << 30))]
    pub state_bytes_max: usize,
    /// Log lines that are kept of one call. A hundred times as many, or more bytes
    /// than `output_bytes_max`, end the call.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub log_lines_max: usize,
    /// Bytes of a log line that are kept.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub log_line_bytes_max: usize,
    /// What failed calls of one policy may cost in one part of a batch (there are
    /// as many as threads), in fuel and bytes of memory together. Beyond it the
    /// rows that have no answer are given up.
    #[schemars(range(min = 0, max = u64::MAX / 4))]
    pub failure_cost_max: u64,
    /// Rows of one call, at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub call_rows_max: usize,
    /// Bounds on a component before it is compiled.
    pub gate: Gate,
    /// Bounds on the process that compiles it.
    pub worker: Worker,
    /// What is wider for a policy that brings the engine of its language along.
    pub languages: Languages,
}

impl Limits {
    /// The limits for a policy in this language; absent for one that brings no engine.
    #[must_use]
    pub fn of(&self, language: Option<Language>) -> Limits {
        let mut limits = self.clone();
        if language.is_none() {
            return limits;
        }
        let Languages {
            memory_bytes_max,
            failure_cost_max,
            component_bytes_max,
            modules_max,
            functions_max,
            function_bytes_max,
            block_depth_max,
            imports_max,
            data_bytes_max,
            cpu_seconds_max,
            wall_seconds_max,
            code_bytes_max,
        } = self.languages;
        limits.memory_bytes_max = memory_bytes_max;
        limits.failure_cost_max = failure_cost_max;
        limits.gate = Gate {
            component_bytes_max,
            modules_max,
            functions_max,
            function_bytes_max,
            block_depth_max,
            imports_max,
            data_bytes_max,
            memory_initial_bytes_max: memory_bytes_max as u64,
            ..limits.gate
        };
        limits.worker = Worker { cpu_seconds_max, wall_seconds_max, code_bytes_max, ..limits.worker };
        limits
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            event_fuel_max: 10_000_000,
            setup_fuel_max: 1_000_000_000,
            memory_bytes_max: 16 << 20,
            table_elements_max: 10_000,
            call_ms_max: 1_000,
            output_bytes_max: 4 << 20,
            handles_max: 1_000,
            row_findings_max: 64,
            row_evidence_bytes_max: 16 << 10,
            state_bytes_max: 64 << 10,
            log_lines_max: 64,
            log_line_bytes_max: 1 << 10,
            failure_cost_max: 320_000_000,
            call_rows_max: 1_024,
            gate: Gate::default(),
            worker: Worker::default(),
            languages: Languages::default(),
        }
    }
}

/// Bounds in the place of those of the same name for a policy in a language that brings
/// its engine along (`languages` of a grant). Of what is not here, such as fuel, it has
/// as much as every other policy. The numbers in brackets are what the twins in
/// `policies/` need: JavaScript, Python.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Languages {
    /// Memory of one instance in bytes (10 MiB, 13 MiB).
    #[schemars(range(min = 1 << 20, max = 1u64 << 32))]
    pub memory_bytes_max: usize,
    /// What failed calls may cost. Each counts all the memory of its instance, though most
    /// of that is the image, which costs nothing until it is written to.
    #[schemars(range(min = 1_000_000, max = u64::MAX / 4))]
    pub failure_cost_max: u64,
    /// Bytes of the component (12 MiB, 18 MiB).
    #[schemars(range(min = 1 << 20, max = 1 << 30))]
    pub component_bytes_max: usize,
    /// Core modules in it (3, 38).
    #[schemars(range(min = 1, max = 64))]
    pub modules_max: usize,
    /// Functions of all modules together (12,681, 13,485).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub functions_max: u32,
    /// Bytes of one function's body (168 KiB, 417 KiB: the interpreter).
    #[schemars(range(min = 1 << 10, max = 16 << 20))]
    pub function_bytes_max: usize,
    /// Blocks inside blocks in one function (500, 800 at most: the interpreter).
    #[schemars(range(min = 1, max = 10_000))]
    pub block_depth_max: usize,
    /// Imports of one module (4, 918).
    #[schemars(range(min = 1, max = 100_000))]
    pub imports_max: u32,
    /// Bytes of data segments of all modules together (3 MiB, 12 MiB).
    #[schemars(range(min = 1 << 10, max = 1 << 30))]
    pub data_bytes_max: usize,
    /// Processor time of the worker in seconds (25, 20 on a small machine).
    #[schemars(range(min = 1, max = 3_600))]
    pub cpu_seconds_max: u64,
    /// Time of the worker in seconds.
    #[schemars(range(min = 1, max = 3_600))]
    pub wall_seconds_max: u64,
    /// Bytes of compiled code (37 MiB, 36 MiB).
    #[schemars(range(min = 1 << 16, max = 1u64 << 32))]
    pub code_bytes_max: usize,
}

impl Default for Languages {
    fn default() -> Self {
        Languages {
            memory_bytes_max: 64 << 20,
            failure_cost_max: 2_000_000_000,
            component_bytes_max: 32 << 20,
            modules_max: 64,
            functions_max: 20_000,
            function_bytes_max: 512 << 10,
            block_depth_max: 1_024,
            imports_max: 2_000,
            data_bytes_max: 24 << 20,
            cpu_seconds_max: 120,
            wall_seconds_max: 180,
            code_bytes_max: 128 << 20,
        }
    }
}

/// Bounds on a component that are checked by reading it. They keep out what
/// would take a compiler minutes and gigabytes: with 8,000 locals and 16,000
/// branches, 264 KiB do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gate {
    /// Bytes of the component.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub component_bytes_max: usize,
    /// Core modules in it.
    #[schemars(range(min = 1, max = 1_000))]
    pub modules_max: usize,
    /// Levels of components inside components.
    #[schemars(range(min = 0, max = 100))]
    pub nesting_max: usize,
    /// Functions of all modules together.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub functions_max: u32,
    /// Bytes of one function's body.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub function_bytes_max: usize,
    /// Local variables of one function.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub function_locals_max: u32,
    /// Local variables of all functions together.
    #[schemars(range(min = 0, max = 100_000_000))]
    pub locals_max: u32,
    /// Targets of one `br_table`.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub branch_targets_max: u32,
    /// Blocks inside blocks in one function.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub block_depth_max: usize,
    /// Imports of one module.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub imports_max: u32,
    /// Memories of one module.
    #[schemars(range(min = 0, max = 1_000))]
    pub memories_max: u32,
    /// Bytes that a memory has from the start.
    #[schemars(range(min = 0, max = 1u64 << 32))]
    pub memory_initial_bytes_max: u64,
    /// Tables of one module.
    #[schemars(range(min = 0, max = 1_000))]
    pub tables_max: u32,
    /// Bytes of data segments of all modules together.
    #[schemars(range(min = 0, max = 1 << 30))]
    pub data_bytes_max: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            component_bytes_max: 2 << 20,
            modules_max: 4,
            nesting_max: 3,
            functions_max: 10_000,
            function_bytes_max: 128 << 10,
            function_locals_max: 1_000,
            locals_max: 100_000,
            branch_targets_max: 4_096,
            block_depth_max: 512,
            imports_max: 100,
            memories_max: 1,
            memory_initial_bytes_max: 16 << 20,
            tables_max: 2,
            data_bytes_max: 1 << 20,
        }
    }
}

/// Bounds on the process that describes, configures and compiles one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Worker {
    /// Processor time in seconds.
    #[schemars(range(min = 1, max = 3_600))]
    pub cpu_seconds_max: u64,
    /// Time in seconds.
    #[schemars(range(min = 1, max = 3_600))]
    pub wall_seconds_max: u64,
    /// Bytes of private memory.
    #[schemars(range(min = 64 << 20, max = 1u64 << 40))]
    pub memory_bytes_max: u64,
    /// Bytes of compiled code that it may hand back.
    #[schemars(range(min = 1 << 16, max = 1u64 << 32))]
    pub code_bytes_max: usize,
    /// Bytes of the settings document.
    #[schemars(range(min = 0, max = 1 << 30))]
    pub settings_bytes_max: usize,
}

impl Default for Worker {
    fn default() -> Self {
        Worker {
            cpu_seconds_max: 20,
            wall_seconds_max: 30,
            memory_bytes_max: 3 << 30,
            code_bytes_max: 64 << 20,
            settings_bytes_max: 4 << 20,
        }
    }
}
