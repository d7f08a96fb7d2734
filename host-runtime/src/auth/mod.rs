//! Biscuit tokens: keys, verification and attenuation.
