//! The HTTP front end: connections in, responses out.
//!
//! [`connection`] accepts connections and serves HTTP/1.1 on them, under the timeouts of
//! `io_timeouts`. `request_handler` takes one request through the core. `request_head` turns the
//! head into what the core gets, `body_receiver` reads bodies, `chunk_intake` keeps chunks within
//! the quota, `response_body` and `archive_sender` send what the core answered, `request_record`
//! writes the line in the log, and `faults` lists what can go wrong outside the core.

mod archive_sender;
mod body_receiver;
mod chunk_intake;
pub(crate) mod connection;
mod faults;
mod io_timeouts;
mod request_handler;
mod request_head;
mod request_record;
mod response_body;
