//! A bounded pool of worker threads.
