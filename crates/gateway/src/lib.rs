//! The way of one request: [`Gateway::answer`] is the function to read.

mod limits;
mod metrics;
mod pipeline;
mod state;

pub use limits::FloodLimits;
pub use metrics::{Counts, Metrics};
pub use pipeline::{Ask, Face, Gateway, Request};
pub use state::{Auditors, Service, State};
