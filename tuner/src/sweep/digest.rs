//! Sixteen digits that stand for what an answer depends on, so that a run is only gone on with if all of it is the same.

use std::fmt::Debug;

use s3b_scenarios::Op;
use sha2::{Digest as _, Sha256};

/// Of whatever is added, in its order.
#[derive(Default)]
pub struct Digest(Sha256);

impl Digest {
    pub fn op(&mut self, op: &Op) {
        let numbers = [op.time_ns, op.offset, op.len, u64::from(op.device)];
        numbers.iter().for_each(|number| self.0.update(number.to_le_bytes()));
        self.0.update([op.kind as u8, u8::from(op.flush_before), u8::from(op.durable), op.origin.bits()]);
    }

    /// Plain data, by how it is printed: floating-point numbers are printed exactly.
    pub fn add(&mut self, data: &impl Debug) {
        self.0.update(format!("{data:?}\n"));
    }

    pub fn finish(self) -> String {
        self.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Of plain data alone.
pub fn digest(data: &impl Debug) -> String {
    let mut digest = Digest::default();
    digest.add(data);
    digest.finish()
}

#[cfg(test)]
mod tests {
    use s3b_scenarios::OpKind;

    use super::*;

    #[test]
    fn every_field_of_an_operation_counts() {
        let op = Op::new(1, OpKind::Write, 2, 3);
        let of = |op: Op| {
            let mut digest = Digest::default();
            digest.op(&op);
            digest.finish()
        };
        let others = [
            Op { time_ns: 9, ..op },
            Op { kind: OpKind::Read, ..op },
            Op { offset: 9, ..op },
            Op { len: 9, ..op },
            Op { device: 9, ..op },
            Op { flush_before: true, ..op },
            Op { durable: true, ..op },
            Op { origin: s3b_scenarios::Origin::new(1, false), ..op },
        ];
        let mut all: Vec<String> = others.into_iter().chain([op]).map(of).collect();
        assert_eq!(all[8], of(op), "the same again");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 9);
    }
}
