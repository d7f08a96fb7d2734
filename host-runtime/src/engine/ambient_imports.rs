//! The imports of the core that belong to no handle: clock, randomness, messages and tokens.

use super::bindings::wit::{auth, environment};
use super::instance_state::{HostState, Outcome};
use crate::clock;
use btdt_ports::wit::{client_types, types};
use btdt_ports::{Access, Severity, Timestamp, TokenFault, Verdict};

// Interfaces of values alone, without functions.
impl types::Host for HostState {}
impl client_types::Host for HostState {}

impl environment::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<Timestamp> {
        Ok(self.services.environment.now())
    }

    fn random(&mut self) -> wasmtime::Result<u64> {
        Ok(self.services.environment.random())
    }

    fn log(&mut self, severity: Severity, message: String) -> wasmtime::Result<()> {
        self.services.environment.log(severity, &message);
        Ok(())
    }
}

impl auth::Host for HostState {
    fn authorize(
        &mut self,
        token: String,
        accesses: Vec<Access>,
    ) -> Outcome<Vec<Verdict>, TokenFault> {
        let Some(authority) = &self.services.authority else {
            wasmtime::bail!("this host has no authority");
        };
        let began = clock::instant();
        let verdicts = authority.authorize(&token, &accesses);
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ticks_left = self.ticks_left.saturating_sub(took);
        if self.ticks_left == 0 {
            wasmtime::bail!("the token took longer to judge than allowed");
        }
        Ok(verdicts)
    }
}
