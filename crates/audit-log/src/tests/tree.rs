//! The tree against a naive one, and against the published vectors.

use std::path::{Path, PathBuf};

use asuser_core::Digest;
use data_encoding::BASE64;
use serde_json::Value as Json;

use crate::merkle::*;

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|i| leaf_hash(format!("leaf {i}").as_bytes())).collect()
}

/// RFC 6962 §2.1, word for word.
fn naive(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
        }
    }
}

struct Naive(Vec<Digest>);

impl Nodes for Naive {
    type Error = std::convert::Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        let (from, to) = ((index as usize) << level, (index as usize + 1) << level);
        Ok(naive(&self.0[from..to]))
    }
}

#[test]
fn the_frontier_has_the_naive_root_at_every_size() {
    let all = leaves(300);
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), empty_root());
    for (at, leaf) in all.iter().enumerate() {
        frontier.push(*leaf);
        assert_eq!(frontier.root(), naive(&all[..=at]), "size {}", at + 1);
    }
}

#[test]
fn every_inclusion_proof_verifies_and_no_other_one_does() {
    let nodes = Naive(leaves(40));
    for size in 1..=40_u64 {
        let root = naive(&nodes.0[..size as usize]);
        for index in 0..size {
            let leaf = nodes.0[index as usize];
            let proof = inclusion_proof(&nodes, index, size).unwrap();
            assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
            let mut longer = proof.clone();
            longer.push(root);
            assert_eq!(verify_inclusion(&leaf, index, size, &longer, &root), Err(ProofError::Length));
            if let Some((_, shorter)) = proof.split_last() {
                assert_eq!(verify_inclusion(&leaf, index, size, shorter, &root), Err(ProofError::Length));
                let mut other = proof.clone();
                other[0].0[31] ^= 1;
                assert_eq!(verify_inclusion(&leaf, index, size, &other, &root), Err(ProofError::Root));
                let moved = verify_inclusion(&leaf, index ^ 1, size, &proof, &root);
                assert!(moved.is_err(), "index {index} of {size} as its neighbour");
            }
            assert_eq!(verify_inclusion(&leaf, size, size, &proof, &root), Err(ProofError::Range));
        }
    }
}

#[test]
fn every_consistency_proof_verifies_and_no_other_one_does() {
    let nodes = Naive(leaves(40));
    for size2 in 1..=40_u64 {
        let root2 = naive(&nodes.0[..size2 as usize]);
        for size1 in 1..=size2 {
            let root1 = naive(&nodes.0[..size1 as usize]);
            let proof = consistency_proof(&nodes, size1, size2).unwrap();
            assert_eq!(verify_consistency(size1, size2, &proof, &root1, &root2), Ok(()), "{size1} {size2}");
            let mut longer = proof.clone();
            longer.push(root1);
            assert_eq!(verify_consistency(size1, size2, &longer, &root1, &root2), Err(ProofError::Length));
            if size1 < size2 {
                assert!(verify_consistency(size2, size1, &proof, &root2, &root1).is_err());
                assert!(verify_consistency(size1, size2, &proof, &root2, &root1).is_err());
                let (_, shorter) = proof.split_last().unwrap();
                assert_eq!(verify_consistency(size1, size2, shorter, &root1, &root2), Err(ProofError::Length));
                let mut other = proof.clone();
                other[0].0[0] ^= 1;
                assert_eq!(verify_consistency(size1, size2, &other, &root1, &root2), Err(ProofError::Root));
            }
        }
    }
}

/// The folder of published vectors beside the workspace, where it is there.
fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/merkle/testdata");
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("skipped: the published Merkle vectors are not beside the workspace");
        None
    }
}

fn cases(folder: &Path) -> Vec<Json> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(cases(&path));
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
        }
    }
    found
}

fn hash(value: &Json) -> Option<Digest> {
    BASE64.decode(value.as_str()?.as_bytes()).ok()?.try_into().ok().map(Digest)
}

/// `None` where a hash in it has no 32 bytes, which our types refuse before any proof is looked at.
fn proof(case: &Json) -> Option<Vec<Digest>> {
    case["proof"].as_array().map_or(Some(Vec::new()), |proof| proof.iter().map(hash).collect())
}

fn run(kind: &str, least: usize, check: impl Fn(&Json) -> Option<bool>) {
    let Some(folder) = vectors() else { return };
    let cases = cases(&folder.join(kind));
    assert!(cases.len() >= least, "{} {kind} cases", cases.len());
    for case in cases {
        let accepted = check(&case).unwrap_or(false);
        // Where the roots themselves are no hashes, a type refuses what the vector lets pass.
        let typed = ["root", "root1", "root2"].iter().all(|name| case[*name].is_null() || hash(&case[*name]).is_some());
        let expected = !case["wantErr"].as_bool().unwrap() && typed;
        assert_eq!(accepted, expected, "{kind}: {}", case["desc"]);
    }
}

#[test]
fn published_inclusion_proofs_are_judged_as_labelled() {
    run("inclusion", 98, |case| {
        let (index, size) = (case["leafIdx"].as_u64()?, case["treeSize"].as_u64()?);
        let (leaf, root) = (hash(&case["leafHash"])?, hash(&case["root"])?);
        Some(verify_inclusion(&leaf, index, size, &proof(case)?, &root).is_ok())
    });
}

#[test]
fn published_consistency_proofs_are_judged_as_labelled() {
    run("consistency", 98, |case| {
        let (size1, size2) = (case["size1"].as_u64()?, case["size2"].as_u64()?);
        let (root1, root2) = (hash(&case["root1"])?, hash(&case["root2"])?);
        Some(verify_consistency(size1, size2, &proof(case)?, &root1, &root2).is_ok())
    });
}

#[test]
fn published_subtree_inclusion_proofs_are_judged_as_labelled() {
    run("subtreeinclusion", 204, |case| {
        let (start, end, index) = (case["start"].as_u64()?, case["end"].as_u64()?, case["leafIdx"].as_u64()?);
        let width = end.checked_sub(start)?.checked_next_power_of_two()?;
        if start == end || !start.is_multiple_of(width) {
            return None;
        }
        let (leaf, root) = (hash(&case["leafHash"])?, hash(&case["root"])?);
        Some(verify_inclusion(&leaf, index.checked_sub(start)?, end - start, &proof(case)?, &root).is_ok())
    });
}
