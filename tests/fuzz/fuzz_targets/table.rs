//! The target `table`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(table);
