//! The shape of a read as a digest: the same for requests that differ only in their values.
//!
//! It holds the table, the columns of the answer, the condition's operators and columns, the order and the switches; no value, no
//! length of a list, no limit or offset. Two shapes never encode alike: every name goes in with its length, every list with its count.

use asuser_core::{ColumnIx, CompareOp, Condition, Digest, ReadSpec, TestKind};
use sha2::{Digest as _, Sha256};

/// The fingerprint of a read.
pub(crate) fn read(spec: &ReadSpec) -> Digest {
    let mut shape = Shape(Sha256::new());
    shape.text("asuser/read/1");
    shape.text(spec.table.name.as_str());
    shape.count(spec.output.len());
    for output in &spec.output {
        shape.column(spec, output.column);
    }
    match &spec.condition {
        None => shape.tag(0),
        Some(condition) => shape.condition(spec, condition),
    }
    shape.count(spec.order.len());
    for term in &spec.order {
        shape.column(spec, term.column);
        shape.tag(u8::from(term.descending));
        shape.tag(term.nulls_first.map_or(0, |first| 1 + u8::from(first)));
    }
    shape.tag(u8::from(spec.count));
    shape.tag(u8::from(spec.as_list));
    shape.finish()
}

/// The fingerprint of a listing, of one table or of all.
pub(crate) fn listing(table: Option<&str>) -> Digest {
    let mut shape = Shape(Sha256::new());
    shape.text("asuser/listing/1");
    shape.count(usize::from(table.is_some()));
    shape.text(table.unwrap_or_default());
    shape.finish()
}

struct Shape(Sha256);

impl Shape {
    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_be_bytes());
    }
    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }
    /// By name: a place means nothing once the catalogue has changed.
    fn column(&mut self, spec: &ReadSpec, ix: ColumnIx) {
        self.text(spec.table.column(ix).map_or("", |column| column.name.as_str()));
    }
    fn condition(&mut self, spec: &ReadSpec, condition: &Condition<ColumnIx>) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                self.tag(if matches!(condition, Condition::All(_)) { 1 } else { 2 });
                self.count(parts.len());
                parts.iter().for_each(|part| self.condition(spec, part));
            }
            Condition::Not(part) => {
                self.tag(3);
                self.condition(spec, part);
            }
            Condition::Xor(left, right) => {
                self.tag(4);
                self.condition(spec, left);
                self.condition(spec, right);
            }
            Condition::Test(test) => {
                self.tag(5);
                self.column(spec, test.column);
                self.tag(operator(&test.kind));
            }
        }
    }
    fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

const fn operator(kind: &TestKind) -> u8 {
    match kind {
        TestKind::Compare(CompareOp::Eq, _) => 1,
        TestKind::Compare(CompareOp::Ne, _) => 2,
        TestKind::Compare(CompareOp::Lt, _) => 3,
        TestKind::Compare(CompareOp::Le, _) => 4,
        TestKind::Compare(CompareOp::Gt, _) => 5,
        TestKind::Compare(CompareOp::Ge, _) => 6,
        TestKind::In(_) => 7,
        TestKind::Like(_) => 8,
        TestKind::StartsWith(_) => 9,
        TestKind::EndsWith(_) => 10,
        TestKind::Contains(_) => 11,
        TestKind::Between(..) => 12,
        TestKind::IsNull => 13,
        TestKind::IsNotNull => 14,
    }
}
