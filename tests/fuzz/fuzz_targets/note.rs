//! The target `note`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(note);
