//! The target `ledger`, for libFuzzer.
#![no_main]

ephor_fuzz::door!(ledger);
