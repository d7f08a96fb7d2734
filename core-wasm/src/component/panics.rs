//! Reports panics: a trap carries no message.

use super::capabilities::Host;
use btdt_ports::{Environment, Severity};
use std::sync::Once;

/// Has the message of a panic logged before it becomes a trap.
pub(super) fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| Host.log(Severity::Error, &panic.to_string())));
    });
}
