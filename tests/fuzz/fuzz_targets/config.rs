//! The target `config`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(config);
