//! Reading an object that may be in several places.

use btdt_ports::ObjectFault;

/// Success if any attempt had it, else the first fault that says more than that it is missing.
pub(super) fn first_success<T>(
    mut fault: ObjectFault,
    attempts: impl Iterator<Item = Result<T, ObjectFault>>,
) -> Result<T, ObjectFault> {
    for attempt in attempts {
        match attempt {
            Ok(success) => return Ok(success),
            Err(error) if fault == ObjectFault::Missing => fault = error,
            Err(_) => {}
        }
    }
    Err(fault)
}
