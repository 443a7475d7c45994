//! The target `publication`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(publication);
