//! The target `projection`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(projection);
