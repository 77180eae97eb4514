//! Function calls, windows and frames.

use super::{Place, Printer};
use crate::SqlError;
use crate::tree::{Bound, Call, Over, TableFunction, Window};

impl<P: Place> Printer<'_, P> {
    pub(super) fn call(&mut self, call: &Call) -> Result<(), P::Error> {
        self.function_name(call);
        self.push("(");
        self.push(if call.distinct { "DISTINCT " } else { "" });
        self.push(if call.star { "*" } else { "" });
        self.arguments(call)?;
        if !call.order_by.is_empty() {
            self.push(" ");
            self.orders(&call.order_by)?;
        }
        self.push(")");
        if !call.within_group.is_empty() {
            self.push(" WITHIN GROUP (");
            self.orders(&call.within_group)?;
            self.push(")");
        }
        if let Some(filter) = &call.filter {
            self.push(" FILTER (WHERE ");
            self.expr(filter)?;
            self.push(")");
        }
        match &call.over {
            None => Ok(()),
            Some(Over::Named(name)) => {
                self.push(" OVER ");
                self.name(&name.text);
                Ok(())
            }
            Some(Over::Window(window)) => {
                self.push(" OVER ");
                self.window(window)
            }
        }
    }

    fn function_name(&mut self, call: &Call) {
        match &call.schema {
            Some(schema) => {
                self.name(schema);
                self.push(".");
                self.name(&call.name);
            }
            None => {
                self.push(if self.postgres() { "pg_catalog." } else { "" });
                self.push(&call.name);
            }
        }
    }

    fn arguments(&mut self, call: &Call) -> Result<(), P::Error> {
        let plain = call.args.len().saturating_sub(call.arg_names.len());
        for (at, arg) in call.args.iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " });
            if let Some(name) = at.checked_sub(plain).and_then(|at| call.arg_names.get(at)) {
                self.name(name);
                self.push(" => ");
            }
            self.expr(arg)?;
        }
        Ok(())
    }

    pub(super) fn table_function(&mut self, function: &TableFunction) -> Result<(), P::Error> {
        let call = &function.call;
        let several = call.schema.is_none() && call.name == "unnest" && call.args.len() > 1;
        if several {
            // The server spells `unnest(a, b)` out like this only where it is written without a schema.
            for (at, arg) in call.args.iter().enumerate() {
                self.push(if at == 0 { "ROWS FROM (pg_catalog.unnest(" } else { ", pg_catalog.unnest(" });
                self.expr(arg)?;
                self.push(")");
            }
            self.push(")");
        } else {
            if call.star || call.distinct || !call.order_by.is_empty() || call.over.is_some() || call.filter.is_some() {
                return Err(SqlError::Internal("an aggregate in FROM").into());
            }
            self.call(call)?;
        }
        self.push(if function.with_ordinality { " WITH ORDINALITY" } else { "" });
        Ok(())
    }

    pub(super) fn window(&mut self, window: &Window) -> Result<(), P::Error> {
        self.push("(");
        let mut space = "";
        if let Some(base) = &window.base {
            self.name(&base.text);
            space = " ";
        }
        for (at, expr) in window.partition_by.iter().enumerate() {
            if at == 0 {
                self.push(space);
            }
            self.push(if at == 0 { "PARTITION BY " } else { ", " });
            self.expr(expr)?;
            space = " ";
        }
        if !window.order_by.is_empty() {
            self.push(space);
            self.orders(&window.order_by)?;
            space = " ";
        }
        if let Some(frame) = &window.frame {
            self.push(space);
            self.push(frame.units);
            match &frame.end {
                None => {
                    self.push(" ");
                    self.bound(&frame.start)?;
                }
                Some(end) => {
                    self.push(" BETWEEN ");
                    self.bound(&frame.start)?;
                    self.push(" AND ");
                    self.bound(end)?;
                }
            }
        }
        self.push(")");
        Ok(())
    }

    fn bound(&mut self, bound: &Bound) -> Result<(), P::Error> {
        let (expr, word) = match bound {
            Bound::CurrentRow => (None, "CURRENT ROW"),
            Bound::Preceding(None) => (None, "UNBOUNDED PRECEDING"),
            Bound::Following(None) => (None, "UNBOUNDED FOLLOWING"),
            Bound::Preceding(Some(expr)) => (Some(expr), " PRECEDING"),
            Bound::Following(Some(expr)) => (Some(expr), " FOLLOWING"),
        };
        if let Some(expr) = expr {
            self.expr(expr)?;
        }
        self.push(word);
        Ok(())
    }
}
