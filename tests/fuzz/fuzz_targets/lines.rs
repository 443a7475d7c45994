//! The target `lines`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(lines);
