#![doc = include_str!("../README.md")]

#[cfg(feature = "author")]
pub mod author;
pub mod functions;
pub mod program;
