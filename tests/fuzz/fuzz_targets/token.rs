//! The target `token`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(token);
