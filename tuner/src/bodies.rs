//! The bytes that the operations of a workload write: those of their stream, or zeros where the operation says so.
//!
//! Bytes are shared, never copied: a pool for each compressibility, one page of zeros.

use bytes::Bytes;
use s3b_scenarios::content::Content;
use s3b_scenarios::{Op, StreamProperties};

/// Longest piece of one operation, as a kernel would send it.
pub const PIECE: u64 = Content::MAX_LEN as u64;

/// See the module.
pub struct Bodies {
    pools: Vec<Pool>,
    /// Index of each stream's pool.
    of_stream: Vec<usize>,
    zeros: Bytes,
}

struct Pool {
    compressibility: f64,
    content: Content,
    bytes: Bytes,
}

impl Bodies {
    /// The same seed gives the same bytes. Without streams: what a trace gets.
    pub fn new(streams: &[StreamProperties], seed: u64) -> Self {
        let mut bodies = Self { pools: Vec::new(), of_stream: Vec::new(), zeros: Bytes::from(vec![0; PIECE as usize]) };
        let trace = [StreamProperties::default()];
        for stream in if streams.is_empty() { &trace } else { streams } {
            let pool = bodies.pool(stream.content.compressibility, seed);
            bodies.of_stream.push(pool);
        }
        bodies
    }

    fn pool(&mut self, compressibility: f64, seed: u64) -> usize {
        if let Some(known) = self.pools.iter().position(|pool| pool.compressibility == compressibility) {
            return known;
        }
        // Which writes are zero is the workload's to say.
        let content = Content::new(compressibility, seed);
        self.pools.push(Pool { compressibility, bytes: Bytes::copy_from_slice(content.pool()), content });
        self.pools.len() - 1
    }

    /// The bytes of a write, in pieces of at most [`PIECE`].
    pub fn pieces(&mut self, op: &Op) -> Vec<Bytes> {
        let pool = self.of_stream.get(op.origin.stream()).copied().unwrap_or(0);
        let Pool { content, bytes, .. } = &mut self.pools[pool];
        let starts = (0..op.len).step_by(PIECE as usize);
        let piece = |at: u64| {
            let len = (op.len - at).min(PIECE) as usize;
            if op.origin.is_zero() { self.zeros.slice(..len) } else { bytes.slice(content.part(len)) }
        };
        starts.map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use s3b_scenarios::content::ContentProperties;
    use s3b_scenarios::{OpKind, Origin};

    use super::*;

    #[test]
    fn a_write_carries_what_its_stream_says() {
        let of = |compressibility| StreamProperties {
            content: ContentProperties { compressibility, zero_share: 0.5 },
            ..StreamProperties::default()
        };
        let mut bodies = Bodies::new(&[of(1.0), of(4.0), of(1.0)], 1);
        assert_eq!(bodies.pools.len(), 2, "one for each compressibility");
        let mut fill = |stream, zero| {
            let op = Op { origin: Origin::new(stream, zero), ..Op::new(0, OpKind::Write, 0, 3 << 19) };
            let pieces = bodies.pieces(&op);
            assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [1 << 20, 1 << 19]);
            // Compressible content repeats one byte; random bytes hit it once in 256.
            let all = pieces.concat();
            (all.iter().filter(|byte| **byte == 0x5a).count() as f64 / all.len() as f64, all.iter().all(|b| *b == 0))
        };
        assert!(fill(0, false).0 < 0.01 && fill(2, false).0 < 0.01);
        assert!((fill(1, false).0 - 0.75).abs() < 0.01);
        assert_eq!((fill(0, true), fill(1, true)), ((0.0, true), (0.0, true)));
    }
}
