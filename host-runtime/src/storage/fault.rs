//! Reading an object that may be in several places.

use btdt_ports::ObjectFault;

/// Success if any attempt had it, else the first fault that says more than that it is missing.
pub(super) fn first_success(
    mut fault: ObjectFault,
    attempts: impl Iterator<Item = Result<(), ObjectFault>>,
) -> Result<(), ObjectFault> {
    for attempt in attempts {
        match attempt {
            Ok(()) => return Ok(()),
            Err(error) if fault == ObjectFault::Missing => fault = error,
            Err(_) => {}
        }
    }
    Err(fault)
}
