//! The target `loader`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(loader);
