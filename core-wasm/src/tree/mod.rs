//! The user's files: listing and packing them for a store, comparing and writing them for a restore.

pub mod comparison;
pub mod ignore_rules;
pub mod listing;
pub mod materializing;
pub mod packing;
pub mod walk;
