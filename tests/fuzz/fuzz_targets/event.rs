//! The target `event`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(event);
