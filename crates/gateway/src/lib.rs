//! The way of one request: [`Gateway::answer`] is the function to read.

mod limits;
mod metrics;
mod pipeline;
mod state;
mod tools;

pub use limits::FloodLimits;
pub use metrics::{Counts, Metrics};
pub use pipeline::{Ask, Face, Gateway, Request, ServiceTables};
pub use state::{Auditors, Service, State};
pub use tools::{ServiceView, Tool, ToolParameter, ToolsView};
