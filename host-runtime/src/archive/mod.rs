//! Trees as tar streams.
