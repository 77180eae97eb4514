//! The sealed [`Plan`]: what a connector may run, and on whose authority. Made only by [`crate::seal`]'s functions, from a decision
//! that policy minted for a verified human; it holds that decision to its end.
//!
//! No plan without a decision (law 1):
//! ```compile_fail,E0308
//! use asuser_query::{ServiceLimits, seal_read};
//! fn seal(who: asuser_core::PrincipalData, request: &asuser_core::ReadRequest, limits: &ServiceLimits, reach: &asuser_core::Reach) {
//!     let _ = seal_read(who, request, limits, reach);
//! }
//! ```
//! The same with a decision compiles:
//! ```
//! use asuser_query::{ServiceLimits, seal_read};
//! fn seal(decision: asuser_policy::Decision, request: &asuser_core::ReadRequest, limits: &ServiceLimits, reach: &asuser_core::Reach) {
//!     let _ = seal_read(decision, request, limits, reach);
//! }
//! ```
//! One decision, one plan (law 3):
//! ```compile_fail,E0382
//! use asuser_query::{ServiceLimits, seal_read};
//! fn seal(decision: asuser_policy::Decision, request: &asuser_core::ReadRequest, limits: &ServiceLimits, reach: &asuser_core::Reach) {
//!     let _ = seal_read(decision, request, limits, reach);
//!     let _ = seal_read(decision, request, limits, reach);
//! }
//! ```
//! What is sealed stays as it is (law 3):
//! ```compile_fail,E0594
//! fn widen(plan: asuser_query::Plan<asuser_query::Read>) {
//!     plan.spec().row_filter = asuser_core::Filter::True;
//! }
//! ```
//! A plan gives no rows and does not run: only an audited intent around it does (law 7):
//! ```compile_fail,E0599
//! fn run(plan: asuser_query::Plan<asuser_query::Read>) {
//!     plan.run();
//! }
//! ```

use std::fmt;

use asuser_core::{Digest, ReadSpec};
use asuser_policy::{Decision, ListingDecision};

use crate::listing::CatalogView;
use crate::sql::SqlSpec;

/// An authorised, bound piece of work. `A` says of which kind, and carries it: [`Read`], [`Sql`] or [`Listing`].
///
/// ```compile_fail,E0451
/// fn forge(read: asuser_query::Read, fingerprint: asuser_core::Digest) -> asuser_query::Plan<asuser_query::Read> {
///     asuser_query::Plan { action: read, fingerprint }
/// }
/// ```
/// ```compile_fail,E0277
/// fn copies<T: Clone>() {}
/// copies::<asuser_query::Plan<asuser_query::Read>>();
/// ```
/// ```compile_fail,E0277
/// fn defaults<T: Default>() {}
/// defaults::<asuser_query::Plan<asuser_query::Read>>();
/// ```
/// ```compile_fail,E0277
/// fn reads<T: serde::de::DeserializeOwned>() {}
/// reads::<asuser_query::Plan<asuser_query::Read>>();
/// ```
/// ```compile_fail,E0277
/// fn converts<T: From<asuser_policy::Decision>>() {}
/// converts::<asuser_query::Plan<asuser_query::Read>>();
/// ```
pub struct Plan<A> {
    action: A,
    fingerprint: Digest,
}

/// Records of one table are read.
///
/// ```compile_fail,E0451
/// fn forge(decision: asuser_policy::Decision, spec: asuser_core::ReadSpec) -> asuser_query::Read {
///     asuser_query::Read { decision, spec, single_record: false }
/// }
/// ```
pub struct Read {
    decision: Decision,
    spec: ReadSpec,
    single_record: bool,
}

/// What the caller may know of the catalogue is told; no database takes part.
///
/// ```compile_fail,E0451
/// fn forge(decision: asuser_policy::ListingDecision, view: asuser_query::CatalogView) -> asuser_query::Listing {
///     asuser_query::Listing { decision, view }
/// }
/// ```
pub struct Listing {
    decision: ListingDecision,
    view: CatalogView,
}

/// SQL runs over relations as the caller may see them.
///
/// ```compile_fail,E0451
/// fn forge(decision: asuser_policy::ListingDecision, spec: asuser_query::SqlSpec) -> asuser_query::Sql {
///     asuser_query::Sql { decision, spec }
/// }
/// ```
pub struct Sql {
    decision: ListingDecision,
    spec: SqlSpec,
}

impl<A> Plan<A> {
    /// A digest of the request's shape, the same whatever its values: for the audit record.
    #[must_use]
    pub const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }
}

impl Plan<Read> {
    // INVARIANT: `spec` was resolved from this very decision; `seal_read` is the only caller.
    pub(crate) const fn read(decision: Decision, spec: ReadSpec, single_record: bool, fingerprint: Digest) -> Self {
        Self { action: Read { decision, spec, single_record }, fingerprint }
    }
    /// What to read.
    #[must_use]
    pub const fn spec(&self) -> &ReadSpec {
        &self.action.spec
    }
    /// On whose authority.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.action.decision
    }
    /// The path names one record: it must be found, and comes without an envelope.
    #[must_use]
    pub const fn single_record(&self) -> bool {
        self.action.single_record
    }
    /// The answer holds keys instead of records.
    #[must_use]
    pub const fn as_list(&self) -> bool {
        self.action.spec.as_list
    }
}

impl Plan<Sql> {
    // INVARIANT: the relations of `spec` were resolved from this very decision; `crate::sql` is the only caller.
    pub(crate) const fn sql(decision: ListingDecision, spec: SqlSpec, fingerprint: Digest) -> Self {
        Self { action: Sql { decision, spec }, fingerprint }
    }
    /// What to run.
    #[must_use]
    pub const fn spec(&self) -> &SqlSpec {
        &self.action.spec
    }
    /// On whose authority.
    #[must_use]
    pub const fn decision(&self) -> &ListingDecision {
        &self.action.decision
    }
}

impl Plan<Listing> {
    // INVARIANT: `view` was made from this very decision.
    pub(crate) const fn listing_of(decision: ListingDecision, view: CatalogView, fingerprint: Digest) -> Self {
        Self { action: Listing { decision, view }, fingerprint }
    }
    /// What to tell: serialises as the body of the answer.
    #[must_use]
    pub const fn listing(&self) -> &CatalogView {
        &self.action.view
    }
    /// On whose authority.
    #[must_use]
    pub const fn decision(&self) -> &ListingDecision {
        &self.action.decision
    }
}

// A plan holds the caller's values and identity: neither belongs into a log (law 8).
impl<A> fmt::Debug for Plan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}
impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("table", &self.spec.table.name).finish_non_exhaustive()
    }
}
impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql").field("origin", &self.spec.origin).finish_non_exhaustive()
    }
}
impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}
