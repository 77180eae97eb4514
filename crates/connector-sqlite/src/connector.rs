//! The connector's trait: the only way into this crate's reads.

use std::sync::{Arc, LazyLock};

use asuser_audit::{Intent, ReadResult, SqlResult, Unreleased};
use asuser_connector::{Connector, ConnectorError, Running};
use asuser_core::{Catalog, Reach};
use asuser_identity::Verified;
use asuser_query::{Read, Sql};

use crate::handover::Got;
use crate::{SqliteConnector, SqliteError};

impl Connector for SqliteConnector {
    fn catalog(&self) -> Running<'_, Arc<Catalog>> {
        Box::pin(async { Ok(Self::catalog(self).await?) })
    }

    /// A file has no users.
    fn reach<'a>(&'a self, _: &'a Verified) -> Running<'a, Arc<Reach>> {
        static EVERYTHING: LazyLock<Arc<Reach>> = LazyLock::new(Arc::default);
        Box::pin(async { Ok(Arc::clone(&EVERYTHING)) })
    }

    fn read(&self, intent: Intent<Read>) -> Running<'_, Unreleased<ReadResult>> {
        Box::pin(async move {
            Ok(match self.run(intent.plan().spec()).await? {
                (Got::Whole(records), identity) => intent.complete(records, identity),
                (Got::Long(first, rest), identity) => intent.begun(first, Box::new(rest), identity),
            })
        })
    }

    fn sql(&self, intent: Intent<Sql>) -> Running<'_, Unreleased<SqlResult>> {
        Box::pin(async move {
            let (records, identity) = self.run_sql(intent.plan().spec()).await?;
            Ok(intent.complete(records, identity))
        })
    }
}

impl From<SqliteError> for ConnectorError {
    fn from(error: SqliteError) -> Self {
        let words = error.to_string();
        match error {
            SqliteError::Options(_)
            | SqliteError::Unavailable { .. }
            | SqliteError::NotReady
            | SqliteError::SchemaChanged => Self::Unavailable(words),
            SqliteError::Busy { .. } => Self::Busy,
            SqliteError::Timeout { time_ms_max } => Self::Timeout { time_ms_max },
            SqliteError::AnswerTooLarge { bytes_max } => Self::AnswerTooLarge { bytes_max },
            SqliteError::TooComplex(what) => Self::TooComplex(what.to_owned()),
            SqliteError::BadValue(what) => Self::BadValue(what.to_owned()),
            SqliteError::NotPermitted(words) => Self::Statement(words),
            SqliteError::Failed(words) => Self::Failed(words.to_owned()),
            SqliteError::Cancelled | SqliteError::Plan(_) | SqliteError::Refused(_) | SqliteError::Internal(_) => {
                Self::Refused(words)
            }
        }
    }
}
