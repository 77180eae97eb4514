//! Credentials that must be accepted, and those that must not, each refusal with the reason that it must have.
//! Keys and tokens are made at run time.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod config;
#[cfg(test)]
mod endpoint;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod mapping;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod rig;
