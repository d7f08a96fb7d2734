//! Random numbers from the operating system, or from a WASI runtime.

/// 64 random bits, for names that must not collide.
#[must_use]
#[cfg(not(target_os = "wasi"))]
pub fn random() -> u64 {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut bytes = [0; 8];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Only a kernel from before 2014 gets here. Names stay unique by time and process.
        _ => {
            let now = crate::clock::now();
            let process = u64::from(std::process::id());
            process << 32 ^ now.seconds.unsigned_abs() ^ u64::from(now.nanoseconds) << 2
        }
    }
}

/// 64 random bits, for names that must not collide.
#[must_use]
#[cfg(target_os = "wasi")]
pub fn random() -> u64 {
    wasip2::random::random::get_random_u64()
}
