//! Policy texts in, [`Policies`] out, or everything that is wrong with them.
//!
//! Each policy is parsed, looked over (`check.rs`), validated strictly by Cedar against the schema of what its folder may
//! concern, and evaluated on trial with nobody known, so that a condition which cannot become a row filter is refused here
//! and not on the day when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use asuser_core::{Catalog, ColumnName, DatabaseKind, Digest, ServiceName, Table, TableName};
use cedar_policy::pst::{self, Expr};
use cedar_policy::{
    PartialEntities, PartialEntityUid, PartialRequest, Policy, PolicyId, PolicySet, Schema, ValidationMode,
    ValidationWarning, Validator,
};
use miette::Diagnostic;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::check::Checker;
use crate::error::{LoadError, PolicyError, did_you_mean};
use crate::evaluate::{Compiled, World, action_uid, condition_of, entity_type};
use crate::masks::masks;
use crate::names;
use crate::residual::{Mode, Translator, Unsupported, names_the_row};
use crate::rules::{PolicyAction, Rule, Scope, ServiceDefault, ServiceRules};
use crate::schema::{ALWAYS, AttributeSchema, BUILT_IN, schema};
use crate::sources::{PolicyFile, PolicySources, ServiceSource};
use crate::text::{Piece, pieces, with_stack};

/// At most this many policies in one folder.
const POLICIES_MAX: usize = 2_000;
/// Compiled decisions are kept up to this many nodes, values and columns in all, some 100 bytes each; about so many decisions.
const CACHE_SIZE_MAX: u64 = 500_000;
const CACHE_DECISIONS: usize = 8_192;

#[derive(Debug, Clone)]
pub(crate) struct BySize;

impl Weighter<[u8; 32], Arc<Compiled>> for BySize {
    fn weight(&self, _: &[u8; 32], compiled: &Arc<Compiled>) -> u64 {
        compiled.size() as u64
    }
}

/// A set of policies that has passed every check, with the catalogues it was checked against. Immutable: other policies or
/// another catalogue make another one, so nothing that was compiled for one is used for the next.
pub struct Policies {
    pub(crate) services: BTreeMap<ServiceName, ServiceRules>,
    pub(crate) world: World,
    pub(crate) digest: Digest,
    /// Some policy asks the time: a decision then holds for one second.
    pub(crate) mentions_now: bool,
    pub(crate) cache: Cache<[u8; 32], Arc<Compiled>, BySize>,
    warnings: Vec<LoadError>,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Policies {
    /// Checks everything and puts it together.
    ///
    /// # Errors
    /// All that is wrong, by file and line.
    pub fn load(
        sources: &PolicySources,
        services: &[ServiceSource],
        attributes: &AttributeSchema,
    ) -> Result<Self, Vec<LoadError>> {
        let mut loader = Loader {
            attributes,
            errors: Vec::new(),
            warnings: Vec::new(),
            mentions_now: false,
            levels: 0,
            ids: BTreeMap::new(),
        };
        loader.configuration(services);
        let catalogs: Vec<&Catalog> = services.iter().map(|service| &*service.catalog).collect();
        if !loader.errors.is_empty() {
            return Err(loader.sorted());
        }
        let Some(whole) = loader.schema("configuration", &catalogs) else { return Err(loader.sorted()) };
        loader.folders(sources, services);

        let shared = loader.folder(sources, PolicySources::ALL, &catalogs, None, &whole);
        let mut loaded = BTreeMap::new();
        for service in services {
            let own = match catalogs.as_slice() {
                [_] => Some(whole.clone()),
                _ => loader.schema("configuration", &[&service.catalog]),
            };
            let rules = loader.service(sources, service, own, &shared);
            loaded.insert(service.catalog.service.clone(), rules);
        }
        if !loader.errors.is_empty() {
            return Err(loader.sorted());
        }
        loader.warnings.sort();
        loader.warnings.dedup();
        Ok(Self {
            services: loaded,
            world: World { schema: whole, attributes: attributes.clone(), levels: loader.levels },
            digest: digest_of(sources, services, attributes),
            mentions_now: loader.mentions_now,
            cache: Cache::with_weighter(CACHE_DECISIONS, CACHE_SIZE_MAX, BySize),
            warnings: loader.warnings,
        })
    }
    /// The same policies with these columns of a service closed to everybody: ones that its tables have got since somebody last
    /// looked at the policies, which can hold no word about them. In the digest, since other columns are closed under another.
    #[must_use]
    pub fn closing(
        mut self,
        service: &ServiceName,
        columns: impl IntoIterator<Item = (TableName, ColumnName)>,
    ) -> Self {
        let Some(rules) = self.services.get_mut(service) else { return self };
        rules.unseen.extend(columns);
        let mut hash = Sha256::new_with_prefix(self.digest.0);
        for text in rules.unseen.iter().flat_map(|(table, column)| [table.as_str(), column.as_str()]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        if !rules.unseen.is_empty() {
            self.digest = Digest(hash.finalize().into());
        }
        // Nothing was decided yet under the closed columns' names; what was decided before was decided otherwise.
        self.cache.clear();
        self
    }
    /// What is allowed, but hardly meant.
    #[must_use]
    pub fn warnings(&self) -> &[LoadError] {
        &self.warnings
    }
    /// A digest of the policies, masks, defaults and attribute types.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    /// The catalogue of a service, as the policies were checked against it.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn catalog(&self, service: &ServiceName) -> Result<&Arc<Catalog>, PolicyError> {
        self.service(service).map(|rules| &rules.catalog)
    }
}

struct Loader<'a> {
    attributes: &'a AttributeSchema,
    errors: Vec<LoadError>,
    warnings: Vec<LoadError>,
    mentions_now: bool,
    levels: usize,
    ids: BTreeMap<String, usize>,
}

impl Loader<'_> {
    fn sorted(mut self) -> Vec<LoadError> {
        self.errors.sort();
        self.errors.dedup();
        self.errors
    }

    /// Names that would mean two things, and defaults that a database cannot have.
    fn configuration(&mut self, services: &[ServiceSource]) {
        for name in
            self.attributes.keys().filter(|name| BUILT_IN.iter().chain(&ALWAYS).any(|built_in| built_in == name))
        {
            let message = format!("the attribute `{name}` is built in: choose another name");
            self.errors.push(LoadError::new("configuration", 0, message));
        }
        let mut spelt: BTreeMap<String, String> = BTreeMap::new();
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        for service in services {
            let (catalog, name) = (&service.catalog, &service.catalog.service);
            if name.as_str() == PolicySources::ALL {
                let message = format!("a service cannot be named `{name}`: that is the folder of policies for all");
                self.errors.push(LoadError::new("configuration", 0, message));
            }
            if catalog.database == DatabaseKind::Sqlite && service.default == ServiceDefault::Database {
                let message =
                    format!("`{name}` cannot have default = \"database\": SQLite has no users whose rights could hold");
                self.errors.push(LoadError::new("configuration", 0, message).suggest("set default = \"deny\""));
            }
            self.unique(&mut spelt, names::identifier(name.as_str()), format!("service `{name}`"));
            for table in catalog.tables.values() {
                let what = format!("table `{}` of `{name}`", table.name);
                self.unique(&mut spelt, names::row_type(name, &table.name), what.clone());
                self.unique(&mut ids, names::table_id(name, &table.name), what);
                for column in &table.columns {
                    let id = names::column_id(name, &table.name, column.name.as_str());
                    self.unique(&mut ids, id, format!("column `{}` of `{}` of `{name}`", column.name, table.name));
                }
            }
        }
    }

    fn unique(&mut self, seen: &mut BTreeMap<String, String>, name: String, what: String) {
        if let Some(other) = seen.get(&name) {
            let message = format!("{other} and {what} are both `{name}` in policies: rename one");
            self.errors.push(LoadError::new("catalogue", 0, message));
        } else {
            seen.insert(name, what);
        }
    }

    fn schema(&mut self, file: &str, catalogs: &[&Catalog]) -> Option<Schema> {
        let made = schema(catalogs.iter().copied(), self.attributes);
        made.map_err(|error| self.errors.push(LoadError::new(file, 0, format!("no Cedar schema: {error}")))).ok()
    }

    fn folders(&mut self, sources: &PolicySources, services: &[ServiceSource]) {
        let known: BTreeSet<&str> = services.iter().map(|service| service.catalog.service.as_str()).collect();
        for (name, folder) in &sources.folders {
            if name == PolicySources::ALL {
                let masks = folder.masks.iter();
                self.errors.extend(masks.map(|file| {
                    LoadError::new(&file.name, 0, "masks belong to one service: move them into its folder")
                }));
            } else if !known.contains(name.as_str()) {
                let error = LoadError::new(name, 0, format!("the folder `{name}` belongs to no service"));
                let close = did_you_mean(name, known.iter().copied().chain([PolicySources::ALL]));
                self.errors.push(error.suggest("name it like a service, or `all`").suggest_if(close));
            }
        }
    }

    /// `schema` knows this service alone: its folder is about nothing else.
    fn service(
        &mut self,
        sources: &PolicySources,
        service: &ServiceSource,
        schema: Option<Schema>,
        shared: &[Rule],
    ) -> ServiceRules {
        let catalog = &service.catalog;
        let name = catalog.service.as_str();
        let rules = schema.map(|schema| self.folder(sources, name, &[catalog], Some(service.default), &schema));
        let mut rules = rules.unwrap_or_default();
        let file = sources.folders.get(name).and_then(|folder| folder.masks.as_ref());
        let masks = file.map(|file| masks(file, catalog, &mut self.errors)).unwrap_or_default();
        if service.default == ServiceDefault::Deny && !rules.iter().any(Rule::is_permit) {
            let warning =
                LoadError::new(name, 0, format!("no policy opens anything in `{name}`, so all of it is denied"));
            self.warnings.push(warning.suggest(format!("permit something in policies/{name}/")));
        }
        let unmasks = |rule: &&Rule| rule.is_permit() && !rule.names_an_action();
        if !masks.is_empty() {
            for rule in rules.iter().filter(unmasks) {
                let warning =
                    LoadError::new(rule.policy.id().as_ref(), 0, "this permit names no action, so it also lifts masks");
                self.warnings.push(warning.suggest("write `action == Action::\"read\"` if only reading is meant"));
            }
        }
        rules.extend(shared.iter().cloned());
        ServiceRules { catalog: Arc::clone(catalog), default: service.default, rules, masks, unseen: BTreeSet::new() }
    }

    /// The policies of a folder that are right; what is wrong is noted.
    fn folder(
        &mut self,
        sources: &PolicySources,
        name: &str,
        catalogs: &[&Catalog],
        default: Option<ServiceDefault>,
        schema: &Schema,
    ) -> Vec<Rule> {
        let validator = Validator::new(schema.clone());
        let mut rules = Vec::new();
        for file in sources.folders.get(name).map(|folder| folder.policies.as_slice()).unwrap_or_default() {
            let pieces = match pieces(&file.text) {
                Ok(pieces) => pieces,
                Err((line, message)) => {
                    self.errors.push(LoadError::new(&file.name, line, message));
                    continue;
                }
            };
            let checker = Checker { file: &file.name, catalogs, default, attributes: self.attributes };
            for piece in pieces {
                if rules.len() >= POLICIES_MAX {
                    let message = format!("the folder `{name}` holds more than {POLICIES_MAX} policies");
                    self.errors.push(LoadError::new(&file.name, piece.line(), message));
                    return rules;
                }
                self.levels = self.levels.max(piece.levels);
                rules.extend(with_stack(piece.levels, || self.policy(file, &piece, &checker, &validator)));
            }
        }
        rules
    }

    fn policy(
        &mut self,
        file: &PolicyFile,
        piece: &Piece<'_>,
        checker: &Checker<'_>,
        validator: &Validator,
    ) -> Option<Rule> {
        let id = PolicyId::new(self.id(file, piece));
        let policy = match Policy::parse(Some(id), piece.text) {
            Ok(policy) => policy,
            Err(error) => {
                let wrong = LoadError::new(&file.name, line_of(piece, &error), error.to_string());
                self.errors.push(wrong.suggest_if(error.help().map(|help| help.to_string())));
                return None;
            }
        };
        let body = match policy.to_pst() {
            Ok(pst) => pst.body().clone(),
            Err(error) => {
                self.errors.push(LoadError::new(&file.name, piece.line(), error.to_string()));
                return None;
            }
        };
        let rule = Rule::new(policy, &body);
        let mut wrong = checker.check(piece, &rule, &body);
        if wrong.is_empty() {
            wrong = self.validate(file, piece, &rule, validator);
        }
        if wrong.is_empty() {
            wrong = trial(file, piece, &rule, checker.catalogs, validator.schema());
        }
        self.mentions_now |= conditions(&body).any(mentions_now);
        self.errors.extend(wrong);
        Some(rule)
    }

    /// File and line, told apart where several policies stand on one.
    fn id(&mut self, file: &PolicyFile, piece: &Piece<'_>) -> String {
        let place = format!("{}:{}", file.name, piece.line());
        let nth = self.ids.entry(place.clone()).and_modify(|nth| *nth += 1).or_insert(1);
        if *nth == 1 { place } else { format!("{place} ({nth})") }
    }

    fn validate(&mut self, file: &PolicyFile, piece: &Piece<'_>, rule: &Rule, validator: &Validator) -> Vec<LoadError> {
        let set = match PolicySet::from_policies([rule.policy.clone()]) {
            Ok(set) => set,
            Err(error) => return vec![LoadError::new(&file.name, piece.line(), error.to_string())],
        };
        let result = validator.validate(&set, ValidationMode::Strict);
        let mut errors: Vec<_> = result.validation_errors().map(|e| located(file, piece, rule, e)).collect();
        for warning in result.validation_warnings() {
            match warning {
                ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                    let message = "this policy can never apply to anything";
                    let never = LoadError::new(&file.name, piece.line(), message);
                    // A permit that opens nothing is harmless; a forbid that protects nothing is not what its author believes.
                    let to = if rule.is_permit() { &mut self.warnings } else { &mut errors };
                    to.push(never.suggest("correct its scope and conditions, or remove it"));
                }
                // Text that reads otherwise than it works.
                ValidationWarning::BidiCharsInString(_) | ValidationWarning::BidiCharsInIdentifier(_) => {
                    errors.push(located(file, piece, rule, warning));
                }
                other => self.warnings.push(located(file, piece, rule, other)),
            }
        }
        if rule.scope == Scope::Any && !errors.is_empty() && asks_of_the_row(rule) {
            let message = "a condition on a column needs a scope that names its table";
            errors = vec![
                LoadError::new(&file.name, piece.line(), message)
                    .suggest("write `resource is db::orders`, for example"),
            ];
        }
        errors
    }
}

/// An error of Cedar at its place, without the policy's name, and with the variable for the `e` of its examples.
fn located(file: &PolicyFile, piece: &Piece<'_>, rule: &Rule, error: &dyn Diagnostic) -> LoadError {
    let (prefix, text) = (format!("for policy `{}`, ", rule.policy.id()), error.to_string());
    let variable = if text.contains("entity type `User`") { "`principal has " } else { "`resource has " };
    let help = error.help().map(|help| help.to_string().replace(&prefix, "").replace("`e has ", variable));
    let methods = "compare decimals with lessThan, lessThanOrEqual, greaterThan and greaterThanOrEqual";
    let help = help.or_else(|| text.ends_with("but saw decimal").then(|| methods.to_owned()));
    LoadError::new(&file.name, line_of(piece, error), text.replace(&prefix, "")).suggest_if(help)
}

fn line_of(piece: &Piece<'_>, error: &dyn Diagnostic) -> u32 {
    let label = error.labels().and_then(|mut labels| labels.next());
    label.map_or_else(|| piece.line(), |label| piece.line_at(label.offset()))
}

/// Evaluates the policy for nobody on every table it may concern.
fn trial(file: &PolicyFile, piece: &Piece<'_>, rule: &Rule, catalogs: &[&Catalog], schema: &Schema) -> Vec<LoadError> {
    let mut errors = BTreeSet::new();
    if rule.scope == Scope::Columns || !asks_of_the_row(rule) {
        return Vec::new();
    }
    for catalog in catalogs {
        for table in catalog.tables.values() {
            let row_type = names::row_type(&catalog.service, &table.name);
            for action in PolicyAction::ALL {
                if !rule.covers(action) || !rule.concerns_rows_of(&row_type) {
                    continue;
                }
                if let Err(wrong) = try_on(rule, catalog, table, &row_type, action, schema) {
                    let line = wrong.word.as_deref().map_or_else(|| piece.line(), |word| piece.line_of(word));
                    errors.insert(LoadError::new(&file.name, line, wrong.message).suggest(wrong.suggestion));
                }
            }
        }
    }
    errors.into_iter().collect()
}

fn conditions(body: &pst::Template) -> impl Iterator<Item = &Expr> {
    body.clauses().iter().map(|clause| match clause {
        pst::Clause::When(expr) | pst::Clause::Unless(expr) => &**expr,
    })
}

/// Whether it reads `context.now`, or could compare a record that holds it.
fn mentions_now(condition: &Expr) -> bool {
    let here = |expr: &Expr| match expr {
        Expr::GetAttr { attr, .. } if attr == "now" => Some(true),
        Expr::HasAttr { attrs, .. } if attrs.iter().any(|attr| attr == "now") => Some(true),
        Expr::Record(fields) if fields.contains_key("now") => Some(true),
        _ => None,
    };
    condition.reduce(&here, &|a, b| a || b, false)
}

/// A policy whose conditions do not name the row leaves nothing to translate.
fn asks_of_the_row(rule: &Rule) -> bool {
    rule.policy.to_pst().is_ok_and(|pst| conditions(pst.body()).any(names_the_row))
}

fn try_on(
    rule: &Rule,
    catalog: &Catalog,
    table: &Table,
    row_type: &str,
    action: PolicyAction,
    schema: &Schema,
) -> Result<(), Unsupported> {
    let failed = |why: String| Unsupported {
        message: format!("the policy cannot be evaluated for `{row_type}`: {why}"),
        suggestion: "simplify it".to_owned(),
        word: None,
    };
    let user = PartialEntityUid::new(entity_type("User").map_err(failed)?, None);
    let row = PartialEntityUid::new(entity_type(row_type).map_err(failed)?, None);
    let request = PartialRequest::new(user, action_uid(action).map_err(failed)?, row, None, schema);
    let request = request.map_err(|error| failed(error.to_string()))?;
    let set = PolicySet::from_policies([rule.policy.clone()]).map_err(|error| failed(error.to_string()))?;
    let nobody = PartialEntities::empty();
    let response = set.tpe(&request, &nobody, schema).map_err(|error| failed(error.to_string()))?;
    for policy in response.policies() {
        let condition = condition_of(&policy).map_err(failed)?;
        Translator::new(table, catalog.database, Mode::Trial).rows_where(&condition, rule.is_permit())?;
    }
    Ok(())
}

/// Names and texts with their lengths before them, so that no two sets share a digest.
fn digest_of(sources: &PolicySources, services: &[ServiceSource], attributes: &AttributeSchema) -> Digest {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    for (folder, files) in &sources.folders {
        for (kind, file) in
            files.policies.iter().map(|file| ("cedar", file)).chain(files.masks.iter().map(|f| ("masks", f)))
        {
            [folder.as_str(), kind, &file.name, &file.text].into_iter().for_each(&mut add);
        }
    }
    let mut defaults: Vec<_> = services.iter().map(|s| (s.catalog.service.as_str(), s.default)).collect();
    defaults.sort_by_key(|(name, _)| *name);
    for (name, default) in defaults {
        ["service", name, if default == ServiceDefault::Deny { "deny" } else { "database" }]
            .into_iter()
            .for_each(&mut add);
    }
    for (name, ty) in attributes {
        ["attribute", name, &format!("{ty:?}")].into_iter().for_each(&mut add);
    }
    Digest(hash.finalize().into())
}
