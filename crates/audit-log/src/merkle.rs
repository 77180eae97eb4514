//! The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1): hashes, the frontier that grows it, proofs and their verification.
//!
//! Verification is strict: a proof of another length than the sizes demand is refused, before anything is hashed.

use asuser_core::Digest;
use sha2::{Digest as _, Sha256};

/// The hash of a leaf: SHA-256(0x00 ‖ leaf).
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(leaf);
    Digest(hash.finalize().into())
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left.0);
    hash.update(right.0);
    Digest(hash.finalize().into())
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

/// The complete subtrees at the right edge: at most 64 hashes, enough to grow the tree and to know its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first: one for each set bit of `size`, from the highest.
    subtrees: Vec<Digest>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves, whose complete subtrees, largest first, are `subtrees`.
    #[must_use]
    pub fn of(size: u64, subtrees: Vec<Digest>) -> Option<Self> {
        (subtrees.len() == size.count_ones() as usize).then_some(Self { size, subtrees })
    }
    /// How many leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
    /// Adds a leaf's hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        // Each trailing one bit of the old size is a complete subtree of the same height as what is being added.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.subtrees.push(hash);
        self.size = self.size.saturating_add(1);
    }
    /// The root.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut rest = self.subtrees.iter().rev().copied();
        let Some(mut root) = rest.next() else { return empty_root() };
        for left in rest {
            root = node_hash(&left, &root);
        }
        root
    }
}

/// Where the hashes of complete subtrees come from: tiles, or a journal's leaves.
pub trait Nodes {
    /// What can go wrong in fetching one.
    type Error;
    /// The hash of the complete subtree over the leaves from `index << level` up to, not including, `(index + 1) << level`.
    ///
    /// # Errors
    /// Where it cannot be had.
    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The largest power of two smaller than `n` (n ≥ 2).
const fn split(n: u64) -> u64 {
    1_u64 << (u64::BITS - 1 - n.saturating_sub(1).leading_zeros())
}

/// The hash of the leaves `start..end`, where the range is one that the recursion of RFC 6962 makes. `start < end`.
///
/// # Errors
/// Where `nodes` gives one.
pub fn range_root<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Digest, N::Error> {
    let length = end.saturating_sub(start);
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return nodes.node(level, start >> level);
    }
    let middle = start.saturating_add(split(length));
    Ok(node_hash(&range_root(nodes, start, middle)?, &range_root(nodes, middle, end)?))
}

/// The inclusion proof (RFC 6962 §2.1.1) of leaf `index` in the tree of `size` leaves. `index < size`.
///
/// # Errors
/// Where `nodes` gives one.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    let (mut start, mut end) = (0_u64, size);
    let mut proof = Vec::new();
    while end.saturating_sub(start) > 1 {
        let middle = start.saturating_add(split(end.saturating_sub(start)));
        if index < middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The consistency proof (RFC 6962 §2.1.2) from the tree of `size1` leaves to the one of `size2`. `0 < size1 <= size2`.
///
/// # Errors
/// Where `nodes` gives one.
pub fn consistency_proof<N: Nodes>(nodes: &N, size1: u64, size2: u64) -> Result<Vec<Digest>, N::Error> {
    let (mut start, mut end) = (0_u64, size2);
    let mut proof = Vec::new();
    // Walks down to the old tree's right edge; what is passed on the way is in the proof.
    while end > size1 {
        let middle = start.saturating_add(split(end.saturating_sub(start)));
        if size1 <= middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // Reached from the left edge all along, it is the old root itself, which the verifier has.
    if start > 0 && start < end {
        proof.push(range_root(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// A proof does not prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The sizes contradict each other.
    #[error("the sizes of the trees or the index are out of range")]
    Range,
    /// Too short or too long for these sizes.
    #[error("the proof has the wrong length")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// How long the inclusion proof of `index` in `size` leaves is below and on the right edge.
fn inclusion_lengths(index: u64, size: u64) -> (u32, u32) {
    let inner = u64::BITS - (index ^ size.saturating_sub(1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner, border)
}

fn climb(mut hash: Digest, inner: &[Digest], index: u64) -> Digest {
    for (level, sibling) in inner.iter().enumerate() {
        hash = if (index >> level) & 1 == 0 { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) };
    }
    hash
}

/// Whether `proof` shows that a leaf with the hash `leaf` is at `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// Where it does not.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (inner, border) = inclusion_lengths(index, size);
    if proof.len() as u64 != u64::from(inner) + u64::from(border) {
        return Err(ProofError::Length);
    }
    let (below, edge) = proof.split_at_checked(inner as usize).ok_or(ProofError::Length)?;
    let mut hash = climb(*leaf, below, index);
    for left in edge {
        hash = node_hash(left, &hash);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Whether `proof` shows that the tree of `size2` leaves with `root2` begins with the tree of `size1` leaves with `root1`.
///
/// # Errors
/// Where it does not, and where `size1` is 0.
pub fn verify_consistency(
    size1: u64,
    size2: u64,
    proof: &[Digest],
    root1: &Digest,
    root2: &Digest,
) -> Result<(), ProofError> {
    // From the empty tree nothing follows: whoever asks has made a mistake.
    if size1 == 0 || size2 < size1 {
        return Err(ProofError::Range);
    }
    if size1 == size2 {
        return match proof {
            [] if root1 == root2 => Ok(()),
            [] => Err(ProofError::Root),
            _ => Err(ProofError::Length),
        };
    }
    let (inner, border) = inclusion_lengths(size1.saturating_sub(1), size2);
    // The largest complete subtree that ends where the old tree ends; where that is the whole old tree, its hash is `root1`.
    let shift = size1.trailing_zeros();
    let inner = inner.saturating_sub(shift);
    let (seed, rest) =
        if size1.is_power_of_two() { (root1, proof) } else { proof.split_first().ok_or(ProofError::Length)? };
    if rest.len() as u64 != u64::from(inner) + u64::from(border) {
        return Err(ProofError::Length);
    }
    let (below, edge) = rest.split_at_checked(inner as usize).ok_or(ProofError::Length)?;
    let index = size1.saturating_sub(1) >> shift;
    let mut hash1 = *seed;
    for (level, sibling) in below.iter().enumerate() {
        if (index >> level) & 1 == 1 {
            hash1 = node_hash(sibling, &hash1);
        }
    }
    let mut hash2 = climb(*seed, below, index);
    for left in edge {
        hash1 = node_hash(left, &hash1);
        hash2 = node_hash(left, &hash2);
    }
    if hash1 == *root1 && hash2 == *root2 { Ok(()) } else { Err(ProofError::Root) }
}
