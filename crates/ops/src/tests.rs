//! Against real servers: the state that has a finding, the twin that has not, and that the SQL which is advised really ends it.

mod claims;
mod counts;
mod doctor;
mod doctor_login;
mod provision;
mod support;
