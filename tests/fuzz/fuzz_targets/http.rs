//! The target `http`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(http);
