//! Counts what a layer has under way, so that its `close` can wait for the last of it.

use tokio::sync::watch;

/// Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Running(watch::Sender<usize>);

/// One thing under way, until dropped.
#[derive(Debug)]
pub(crate) struct RunningGuard(watch::Sender<usize>);

impl Running {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn begin(&self) -> RunningGuard {
        self.0.send_modify(|running| *running += 1);
        RunningGuard(self.0.clone())
    }

    /// Returns when nothing is under way.
    pub(crate) async fn wait_until_idle(&self) {
        // The channel cannot close: `self.0` is one of its senders.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn idle_only_after_the_last_guard_is_gone() {
        let running = Running::new();
        running.wait_until_idle().await;
        let (one, two) = (running.begin(), running.clone().begin());
        drop(one);
        assert!(running.wait_until_idle().now_or_never().is_none());
        drop(two);
        assert!(running.wait_until_idle().now_or_never().is_some());
    }
}
