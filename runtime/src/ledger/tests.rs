//! The whole ledger.
