//! SIGTERM and SIGINT: the first asks to stop in order, the second gives up.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    asked: bool,
}

/// A second signal came.
#[derive(Clone, Copy, Debug)]
pub struct GaveUp;

impl Signals {
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            asked: false,
        })
    }

    /// Returns at the first signal.
    pub async fn stop(&mut self) {
        self.next().await;
        self.asked = true;
    }

    /// Does `work` to its end, unless a second signal comes.
    pub async fn unless_again<T>(&mut self, work: impl Future<Output = T>) -> Result<T, GaveUp> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = self.next() => {
                    if self.asked {
                        return Err(GaveUp);
                    }
                    self.asked = true;
                    tracing::warn!("still storing what was written; a second signal gives up");
                }
            }
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
