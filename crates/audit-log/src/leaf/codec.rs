//! The one encoding of a leaf: a map with ascending integer keys (RFC 8949 §4.2.1).
//!
//! ```text
//!  0 v, 1              8 service   text     16 reason    text     24 run-as mode  text
//!  1 kind      uint    9 action    text     17 status    uint     25 request id   text
//!  2 entry     bstr16 10 route     text     18 rows      uint     26 count        uint
//!  3 n         uint   11 tables    [text]   19 bytes     uint     27 window       [int, int]
//!  4 t_ms      int    12 columns   [text]   20 body      bstr32   28 note         text
//!  5 policy    bstr32 13 masks     [[column, mask]]               21 who          [index, bstr32]
//!  6 catalogue bstr32 14 statement bstr32                         22 subject      bstr16
//!  7 config    bstr32 15 actor     [id, assurance, [text]]        23 commitments  {field: bstr32}
//! 29 used     [text]
//! ```
//! Kinds: 1 who, 2 whole, 3 intent, 4 progress, 5 outcome, 6 refused, 7 summary, 8 start, 9 config, 10 erase, 11 erased,
//! 12 abandoned. Assurance: 0 none, 1 credential, 2 token. Personal fields: 1 issuer, 2 subject, 3 login, 4 email, 5 name,
//! 6 address, 7 database user. 0 to 4 are always there; the others, and empty lists, are left out where there is nothing to say.

use asuser_core::{Assurance, Digest};
use minicbor::decode::Decoder;
use minicbor::encode::{Encoder, Error as EncodeError};

use super::{Kind, LEAF_VERSION, Leaf, LeafActor, LeafError, MaskedColumn, WhoRef, Window};
use crate::personal::{Field, SubjectRef};

impl Leaf {
    fn field_count(&self) -> u64 {
        let optional = [
            self.policy.is_some(),
            self.catalogue.is_some(),
            self.config.is_some(),
            self.service.is_some(),
            self.action.is_some(),
            self.route.is_some(),
            !self.tables.is_empty(),
            !self.columns.is_empty(),
            !self.masks.is_empty(),
            self.statement.is_some(),
            self.actor.is_some(),
            self.reason.is_some(),
            self.status.is_some(),
            self.rows.is_some(),
            self.bytes.is_some(),
            self.body.is_some(),
            self.who.is_some(),
            self.subject.is_some(),
            !self.commitments.is_empty(),
            self.run_as.is_some(),
            self.request_id.is_some(),
            self.count.is_some(),
            self.window.is_some(),
            self.note.is_some(),
            !self.used.is_empty(),
        ];
        optional.iter().map(|present| u64::from(*present)).sum::<u64>().saturating_add(5)
    }

    /// INVARIANT: keys ascend, lengths are definite, and an absent field is left out: that is the deterministic form.
    pub(super) fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        e.map(self.field_count())?;
        e.u8(0)?.u32(LEAF_VERSION)?;
        e.u8(1)?.u8(self.kind as u8)?;
        e.u8(2)?.bytes(&self.entry)?;
        e.u8(3)?.u32(self.n)?;
        e.u8(4)?.i64(self.t_ms)?;
        digest(e, 5, self.policy)?;
        digest(e, 6, self.catalogue)?;
        digest(e, 7, self.config)?;
        text(e, 8, self.service.as_deref())?;
        text(e, 9, self.action.as_deref())?;
        text(e, 10, self.route.as_deref())?;
        texts(e, 11, &self.tables)?;
        texts(e, 12, &self.columns)?;
        if !self.masks.is_empty() {
            e.u8(13)?.array(self.masks.len() as u64)?;
            for masked in &self.masks {
                e.array(2)?.str(&masked.column)?.str(&masked.mask)?;
            }
        }
        digest(e, 14, self.statement)?;
        if let Some(actor) = &self.actor {
            e.u8(15)?.array(3)?.str(&actor.id)?.u8(assurance_number(actor.assurance))?;
            e.array(actor.chain.len() as u64)?;
            for id in &actor.chain {
                e.str(id)?;
            }
        }
        text(e, 16, self.reason.as_deref())?;
        number(e, 17, self.status.map(u64::from))?;
        number(e, 18, self.rows)?;
        number(e, 19, self.bytes)?;
        digest(e, 20, self.body)?;
        if let Some(who) = &self.who {
            e.u8(21)?.array(2)?.u64(who.index)?.bytes(&who.hash.0)?;
        }
        if let Some(subject) = &self.subject {
            e.u8(22)?.bytes(&subject.0)?;
        }
        if !self.commitments.is_empty() {
            e.u8(23)?.map(self.commitments.len() as u64)?;
            for (field, commitment) in &self.commitments {
                e.u8(*field as u8)?.bytes(&commitment.0)?;
            }
        }
        text(e, 24, self.run_as.as_deref())?;
        text(e, 25, self.request_id.as_deref())?;
        number(e, 26, self.count)?;
        if let Some(window) = self.window {
            e.u8(27)?.array(2)?.i64(window.from_ms)?.i64(window.to_ms)?;
        }
        text(e, 28, self.note.as_deref())?;
        texts(e, 29, &self.used)
    }
}

type Written = Result<(), EncodeError<std::convert::Infallible>>;

fn digest(e: &mut Encoder<Vec<u8>>, key: u8, value: Option<Digest>) -> Written {
    if let Some(value) = value {
        e.u8(key)?.bytes(&value.0)?;
    }
    Ok(())
}

fn number(e: &mut Encoder<Vec<u8>>, key: u8, value: Option<u64>) -> Written {
    if let Some(value) = value {
        e.u8(key)?.u64(value)?;
    }
    Ok(())
}

fn text(e: &mut Encoder<Vec<u8>>, key: u8, value: Option<&str>) -> Written {
    if let Some(value) = value {
        e.u8(key)?.str(value)?;
    }
    Ok(())
}

fn texts(e: &mut Encoder<Vec<u8>>, key: u8, values: &[String]) -> Written {
    if !values.is_empty() {
        e.u8(key)?.array(values.len() as u64)?;
        for value in values {
            e.str(value)?;
        }
    }
    Ok(())
}

const fn assurance_number(assurance: Assurance) -> u8 {
    match assurance {
        Assurance::None => 0,
        Assurance::Credential => 1,
        Assurance::Token => 2,
    }
}

impl From<minicbor::decode::Error> for LeafError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

fn malformed(what: &str) -> LeafError {
    LeafError::Malformed(what.to_owned())
}

/// Reads the fields in any order; the comparison with the re-encoded leaf then refuses every order but the right one,
/// repeated keys, wide integers, indefinite lengths and empty lists alike.
pub(super) fn read(d: &mut Decoder<'_>) -> Result<Leaf, LeafError> {
    let count = d.map()?.ok_or(LeafError::NotCanonical)?;
    let mut leaf = Leaf::default();
    for _ in 0..count {
        match d.u8()? {
            0 => {
                if d.u32()? != LEAF_VERSION {
                    return Err(malformed("its version is unknown"));
                }
            }
            1 => leaf.kind = Kind::from_number(d.u8()?).ok_or_else(|| malformed("its kind is unknown"))?,
            2 => leaf.entry = fixed(d)?,
            3 => leaf.n = d.u32()?,
            4 => leaf.t_ms = d.i64()?,
            5 => leaf.policy = Some(Digest(fixed(d)?)),
            6 => leaf.catalogue = Some(Digest(fixed(d)?)),
            7 => leaf.config = Some(Digest(fixed(d)?)),
            8 => leaf.service = Some(d.str()?.to_owned()),
            9 => leaf.action = Some(d.str()?.to_owned()),
            10 => leaf.route = Some(d.str()?.to_owned()),
            11 => leaf.tables = strings(d)?,
            12 => leaf.columns = strings(d)?,
            13 => leaf.masks = masks(d)?,
            14 => leaf.statement = Some(Digest(fixed(d)?)),
            15 => leaf.actor = Some(actor(d)?),
            16 => leaf.reason = Some(d.str()?.to_owned()),
            17 => leaf.status = Some(d.u16()?),
            18 => leaf.rows = Some(d.u64()?),
            19 => leaf.bytes = Some(d.u64()?),
            20 => leaf.body = Some(Digest(fixed(d)?)),
            21 => leaf.who = Some(who(d)?),
            22 => leaf.subject = Some(SubjectRef(fixed(d)?)),
            23 => leaf.commitments = commitments(d)?,
            24 => leaf.run_as = Some(d.str()?.to_owned()),
            25 => leaf.request_id = Some(d.str()?.to_owned()),
            26 => leaf.count = Some(d.u64()?),
            27 => {
                pair(d)?;
                leaf.window = Some(Window { from_ms: d.i64()?, to_ms: d.i64()? });
            }
            28 => leaf.note = Some(d.str()?.to_owned()),
            29 => leaf.used = strings(d)?,
            _ => return Err(malformed("it has an unknown field")),
        }
    }
    Ok(leaf)
}

fn fixed<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], LeafError> {
    d.bytes()?.try_into().map_err(|_| malformed("a byte string has the wrong length"))
}

fn strings(d: &mut Decoder<'_>) -> Result<Vec<String>, LeafError> {
    let count = d.array()?.ok_or(LeafError::NotCanonical)?;
    // No capacity is reserved from the claimed count: the input is at most LEAF_MAX bytes, the claim may be 2^64.
    (0..count).map(|_| Ok(d.str()?.to_owned())).collect()
}

fn pair(d: &mut Decoder<'_>) -> Result<(), LeafError> {
    if d.array()? == Some(2) { Ok(()) } else { Err(malformed("an array of two is expected")) }
}

fn masks(d: &mut Decoder<'_>) -> Result<Vec<MaskedColumn>, LeafError> {
    let count = d.array()?.ok_or(LeafError::NotCanonical)?;
    (0..count)
        .map(|_| {
            pair(d)?;
            Ok(MaskedColumn { column: d.str()?.to_owned(), mask: d.str()?.to_owned() })
        })
        .collect()
}

fn actor(d: &mut Decoder<'_>) -> Result<LeafActor, LeafError> {
    if d.array()? != Some(3) {
        return Err(malformed("the actor is no array of three"));
    }
    let id = d.str()?.to_owned();
    let assurance = match d.u8()? {
        0 => Assurance::None,
        1 => Assurance::Credential,
        2 => Assurance::Token,
        _ => return Err(malformed("the actor's assurance is unknown")),
    };
    Ok(LeafActor { id, assurance, chain: strings(d)? })
}

fn who(d: &mut Decoder<'_>) -> Result<WhoRef, LeafError> {
    pair(d)?;
    Ok(WhoRef { index: d.u64()?, hash: Digest(fixed(d)?) })
}

fn commitments(d: &mut Decoder<'_>) -> Result<Vec<(Field, Digest)>, LeafError> {
    let count = d.map()?.ok_or(LeafError::NotCanonical)?;
    let mut found: Vec<(Field, Digest)> = Vec::new();
    for _ in 0..count {
        let field = Field::from_number(d.u8()?).ok_or_else(|| malformed("a personal field is unknown"))?;
        // Re-encoding cannot see a repeated or unordered key in a list, so it is refused here.
        if found.last().is_some_and(|(before, _)| *before >= field) {
            return Err(LeafError::NotCanonical);
        }
        found.push((field, Digest(fixed(d)?)));
    }
    Ok(found)
}
