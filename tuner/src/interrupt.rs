//! Ctrl-C: the first asks to stop (finish what runs, clean up, report what there is), the second ends at once.

use tokio::sync::watch;

/// Whether the user asked to stop. Cloning shares it.
#[derive(Clone)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
    ask: watch::Sender<bool>,
}

impl Default for Interrupt {
    fn default() -> Self {
        let (ask, asked) = watch::channel(false);
        Self { asked, ask }
    }
}

/// What shells expect of a program ended by SIGINT.
pub const EXIT_INTERRUPTED: u8 = 130;

impl Interrupt {
    /// Listens for SIGINT and SIGTERM from now on.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let ask = interrupt.ask.clone();
        tokio::spawn(async move {
            wait_for_signal().await;
            eprintln!(
                "stopping: what runs is finished, then cleaned up (again: stop at once and leave objects behind)"
            );
            ask.send_replace(true);
            wait_for_signal().await;
            std::process::exit(EXIT_INTERRUPTED.into());
        });
        interrupt
    }

    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Stops as a signal would.
    #[cfg(test)]
    pub fn ask(&self) {
        self.ask.send_replace(true);
    }

    /// Returns when the user asks to stop.
    pub async fn wait(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.asked.clone().wait_for(|asked| *asked).await;
    }
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process, which is what the user wants anyway.
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
