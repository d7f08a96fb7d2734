//! Round trips, other programs' archives, and archives that are broken.

mod broken;
mod outgoing;
mod property;
mod received;
mod support;
mod tools;
