//! Somebody's own SQL as that person: guarded, printed anew, on a connection that serves nobody else and forgets all after each
//! transaction (law 6). In: a sealed statement. Out: its records, whole. Refuses, in the modes where a session is the person's own
//! login, a role that other people have too: they could see each other's statements and end them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use asuser_audit::Intent;
use asuser_core::{DatabaseIdentity, Records};
use asuser_query::{Sql, SqlOrigin, SqlSpec};
use tokio::time::timeout_at;

use crate::PostgresError;
use crate::connector::{Asked, PostgresConnector, no_session, settled};
use crate::options::RunAs;
use crate::person::Role;
use crate::pool::Lease;
use crate::print::{Statement, sql_statement};
use crate::rows::{Shape, Writer};
use crate::transaction::{self, Failure, Source};

impl PostgresConnector {
    /// Runs a statement. Dropping the future cancels it, and its connection serves nobody else.
    pub(crate) async fn run_sql(&self, intent: &Intent<Sql>) -> Result<(Records, DatabaseIdentity), PostgresError> {
        let (decision, spec) = (intent.plan().decision(), intent.plan().spec());
        let role = self.options.role_of(decision.verified().data())?;
        let own_login = matches!(self.options.run_as, RunAs::Certificate(_));
        if own_login && self.options.role.is_shared() && spec.origin == SqlOrigin::Submitted {
            return Err(PostgresError::SharedRole(role.to_owned()));
        }
        let time_ms_max = spec.time_ms_max;
        let asked = Asked {
            entry: intent.entry(),
            verified: decision.verified(),
            actor: decision.delegation().actor(),
            role,
            deadline: Instant::now() + Duration::from_millis(time_ms_max),
            time_ms_max,
            bytes_max: spec.bytes_max,
            is_sql: true,
        };
        let answered = timeout_at(asked.deadline.into(), self.attempt_sql(&asked, spec)).await;
        answered.unwrap_or(Err(PostgresError::Timeout { time_ms_max }))
    }

    async fn attempt_sql(
        &self,
        asked: &Asked<'_>,
        spec: &SqlSpec,
    ) -> Result<(Records, DatabaseIdentity), PostgresError> {
        let known = self.known()?;
        let mut tables = Vec::with_capacity(spec.relations.len());
        for relation in &spec.relations {
            let table = Self::table(&known, &relation.table)?;
            self.check_trust(&table)?;
            tables.push(table);
        }
        let role = self.role(asked, &known).await?;
        let statement = sql_statement(spec, &tables)?;
        // What the administrator wrote is not weighed.
        let cost_max = self.options.sql_cost_max.filter(|_| spec.origin == SqlOrigin::Submitted);
        let leaves_state = tables.iter().any(|table| table.leaves_state);
        // The statement is parsed each time, so the server itself asks whether its schemas are open.
        let source = Source { schema: "pg_catalog", oid: 0, leaves_state, is_sql: true, cost_max };
        let shape = Arc::new(Shape::of_records(spec.limit, spec.bytes_max));
        let (lease, used_before) = self.lease(asked).await?;
        let got = match self.transact_sql(asked, &role, lease, &statement, &shape, source).await {
            Err(Failure::Lost(_)) if used_before => {
                // The server went away since; a statement that nobody took can be sent again.
                self.pool.clear();
                let (lease, _) = self.lease(asked).await?;
                self.transact_sql(asked, &role, lease, &statement, &shape, source).await
            }
            other => other,
        };
        let time_ms_max = asked.time_ms_max.min(role.facts.timeout_ms.unwrap_or(u64::MAX));
        got.map_err(|failure| match failure {
            Failure::Lost(error) | Failure::Of(error) => error.with_limit(time_ms_max),
        })
    }

    async fn transact_sql(
        &self,
        asked: &Asked<'_>,
        role: &Role,
        mut lease: Lease,
        statement: &Statement,
        shape: &Arc<Shape>,
        source: Source<'_>,
    ) -> Result<(Records, DatabaseIdentity), Failure> {
        let begun = self.begin(asked, role, &mut lease, statement, source).await?;
        let identity = DatabaseIdentity { mode: self.options.run_as.as_str(), user: Some(begun.user) };
        let mut writer = Writer::new(Arc::clone(shape));
        let mut records = Records::default();
        // It is not streamed: the writer's own limit bounds what is held.
        loop {
            let session = lease.session().ok_or_else(no_session)?;
            match settled(transaction::read(session, &mut writer, asked.role).await, &mut lease)? {
                Some(segment) => add(&mut records, segment),
                None => break,
            }
        }
        let session = lease.session().ok_or_else(no_session)?;
        settled(transaction::end(session, asked.role).await, &mut lease)?;
        lease.busy = false;
        lease.give_back();
        let last = writer.finish();
        records.more = last.more;
        add(&mut records, last);
        Ok((records, identity))
    }
}

fn add(records: &mut Records, segment: Records) {
    records.json.extend_from_slice(&segment.json);
    records.rows = records.rows.saturating_add(segment.rows);
}
