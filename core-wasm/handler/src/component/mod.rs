//! The component: its bindings, how it is set up, and how it handles requests.

mod bindings;
mod fault_texts;
mod reply;
mod request;
mod setup;
mod stderr_log;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::http;

struct Handler;

bindings::export!(Handler with_types_in bindings);

impl Guest for Handler {
    fn handle(request: http::IncomingRequest, out: http::ResponseOutparam) {
        request::answer(&request, out);
    }
}
