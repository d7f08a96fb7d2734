//! Batches the questions of workers whether the server lacks a chunk.
//!
//! The first caller asks at once. Callers that arrive in the meantime wait, and the next one asks
//! for all of them. So a fast server makes no caller wait, and a slow one gets few requests.

use btdt_ports::{Digest, IoError, IoErrorKind};
use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Digests in one request.
const MAX_BATCH: usize = 1000;

/// Requests under way: while one is answered, the next one can be sent.
const MAX_RUNNING: usize = 2;

type Answer = Arc<OnceLock<Result<bool, IoError>>>;

#[derive(Default)]
struct State {
    waiting: Vec<(Digest, Answer)>,
    running: usize,
}

/// Collects the digests that callers ask for.
#[derive(Default)]
pub(super) struct Batches {
    state: Mutex<State>,
    changed: Condvar,
}

impl Batches {
    /// Whether the server lacks `digest`. `query` returns which digests the server lacks; it is
    /// called for the digests of other callers as well.
    pub(super) fn ask(
        &self,
        digest: &Digest,
        query: impl Fn(&[Digest]) -> Result<HashSet<Digest>, IoError>,
    ) -> Result<bool, IoError> {
        let answer = Answer::default();
        let mut state = self.lock();
        state.waiting.push((*digest, Arc::clone(&answer)));
        loop {
            if let Some(answer) = answer.get() {
                return *answer;
            }
            if state.running < MAX_RUNNING && !state.waiting.is_empty() {
                state.running += 1;
                let size = state.waiting.len().min(MAX_BATCH);
                let batch = Running { batches: self, asked: state.waiting.drain(..size).collect() };
                drop(state);
                batch.run(&query);
                drop(batch);
                state = self.lock();
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. Its end, even by a panic, wakes all callers that wait for it.
struct Running<'b> {
    batches: &'b Batches,
    asked: Vec<(Digest, Answer)>,
}

impl Running<'_> {
    fn run(&self, query: impl Fn(&[Digest]) -> Result<HashSet<Digest>, IoError>) {
        let digests: Vec<Digest> = self.asked.iter().map(|(digest, _)| *digest).collect();
        let missing = query(&digests);
        for (digest, answer) in &self.asked {
            let result = match &missing {
                Ok(missing) => Ok(missing.contains(digest)),
                Err(error) => Err(*error),
            };
            let _ = answer.set(result);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for (_, answer) in &self.asked {
            // Has no effect where there is an answer.
            let _ = answer.set(Err(IoError::new(IoErrorKind::Other)));
        }
        self.batches.lock().running -= 1;
        self.batches.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn digest(number: u16) -> Digest {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        Digest::new(bytes)
    }

    #[test]
    fn those_who_wait_go_together() {
        const CALLERS: u16 = 20;
        let batches = Batches::default();
        let sizes = Mutex::new(Vec::new());
        let (begun, go_on) = (Barrier::new(3), Barrier::new(3));
        let first_two = AtomicUsize::new(0);
        let query = |asked: &[Digest]| {
            sizes.lock().unwrap().push(asked.len());
            if first_two.fetch_add(1, Ordering::SeqCst) < 2 {
                begun.wait();
                go_on.wait();
            }
            Ok(asked.iter().copied().filter(|digest| digest.to_bytes()[0] % 2 == 1).collect())
        };
        let ask = |number| batches.ask(&digest(number), query);
        thread::scope(|scope| {
            let ask = &ask;
            for number in 0..2 {
                scope.spawn(move || assert_eq!(ask(number), Ok(number % 2 == 1)));
            }
            begun.wait();
            for number in 2..CALLERS {
                scope.spawn(move || assert_eq!(ask(number), Ok(number % 2 == 1)));
            }
            while batches.lock().waiting.len() < usize::from(CALLERS) - 2 {
                thread::yield_now();
            }
            go_on.wait();
        });
        assert_eq!(*sizes.lock().unwrap(), [1, 1, usize::from(CALLERS) - 2]);
    }

    #[test]
    fn a_failure_reaches_all_and_the_next_question_is_asked_anew() {
        let batches = Batches::default();
        let refused = IoError::new(IoErrorKind::AccessDenied);
        assert_eq!(batches.ask(&digest(1), |_| Err(refused)), Err(refused));
        let panicked = thread::scope(|scope| {
            scope.spawn(|| batches.ask(&digest(2), |_| panic!("on purpose"))).join().is_err()
        });
        assert!(panicked);
        assert_eq!(batches.ask(&digest(3), |_| Ok(HashSet::new())), Ok(false));
    }
}
