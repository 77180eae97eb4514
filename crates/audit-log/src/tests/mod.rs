//! Tests of the whole crate, in one binary; they may look inside.

mod crash;
mod disk;
mod erasure;
mod outside;
mod records;
mod run;
mod support;
mod tamper;
mod tree;
