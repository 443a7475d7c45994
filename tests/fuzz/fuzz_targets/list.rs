//! The target `list`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(list);
