//! The threads on which connections live.

use crate::http_client::RequestError;
use btdt_ports::HttpErrorKind;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// Connections only copy; verification and compression happen on the threads of the callers.
const NETWORK_THREADS: usize = 2;

/// The threads on which connections live, started when they are first needed.
#[derive(Default)]
pub(super) struct NetworkThreads {
    runtime: OnceLock<Result<Runtime, RequestError>>,
}

impl NetworkThreads {
    /// Runs a future to its end. Not for threads of a runtime, which must not block.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, RequestError> {
        let runtime = self.runtime()?;
        // On the network threads: a transfer of many pieces wakes the calling thread only once.
        match runtime.block_on(runtime.spawn(future)) {
            Ok(result) => Ok(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => {
                    Err(RequestError::permanent(HttpErrorKind::Interrupted, "it was cancelled"))
                }
            },
        }
    }

    pub(super) fn runtime(&self) -> Result<&Runtime, RequestError> {
        let start = || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(NETWORK_THREADS).thread_name("btdt-network");
            builder.enable_io().enable_time().build().map_err(|error| {
                let detail = format!("no threads for connections can be started: {error}");
                RequestError::permanent(HttpErrorKind::Unreachable, detail)
            })
        };
        self.runtime.get_or_init(start).as_ref().map_err(Clone::clone)
    }
}

impl Drop for NetworkThreads {
    fn drop(&mut self) {
        if let Some(Ok(runtime)) = self.runtime.take() {
            // Does not wait for a name server or a peer that does not answer.
            runtime.shutdown_background();
        }
    }
}
