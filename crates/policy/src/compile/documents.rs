//! A set of files, from text to a [`Pack`], in order.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{compiler::Compiler, file::File, read, settings};
use crate::{Issue, Pack, document::Document, kinds::Kinds, packs, source::Source};

/// A pack, and what somebody should know of it.
#[derive(Debug)]
pub struct Compiled {
    /// The pack.
    pub pack: Pack,
    /// What works, and is probably not meant.
    pub warnings: Vec<Issue>,
}

/// Compiles a set of files; without settings that say otherwise, the default pack is in it. Fields
/// of objects are not looked at: see [`Documents::compile`].
///
/// # Errors
/// Everything that is wrong: a set is in force whole or not at all.
pub fn compile(sources: &[Source], now: Timestamp) -> Result<Compiled, Vec<Issue>> {
    Documents::read(sources, now).compile(&Kinds::default())
}

impl Pack {
    /// The pack that ships in the binary and states the mission.
    ///
    /// # Errors
    /// None but in a build that is broken: a test compiles it.
    pub fn default_pack() -> Result<Self, Vec<Issue>> {
        compile(&[], Timestamp::UNIX_EPOCH).map(|compiled| compiled.pack)
    }
}

/// A set of files that was read, and is not compiled yet.
pub struct Documents {
    now: Timestamp,
    documents: Vec<(Document, File)>,
    /// What stands in every file that was read, for the digest.
    texts: Vec<String>,
    observe: bool,
    issues: Vec<Issue>,
}

impl Documents {
    /// Reads files, and the built-in packs that they choose.
    pub fn read(sources: &[Source], now: Timestamp) -> Self {
        let mut set = Self {
            now,
            documents: Vec::new(),
            texts: Vec::new(),
            observe: false,
            issues: Vec::new(),
        };
        for source in sources {
            set.add(source, false);
        }
        // The files choose the packs, so they are read before them.
        let chosen = settings::chosen_packs(&set.documents, &mut set.issues);
        for source in packs::sources(&chosen) {
            set.add(&source, true);
        }
        set.observe = chosen.iter().any(|it| it == packs::OBSERVE);
        set
    }

    fn add(&mut self, source: &Source, is_builtin: bool) {
        let documents = match read::documents(source) {
            Ok(documents) => documents,
            Err(issue) => return self.issues.push(issue),
        };
        self.texts.push(source.text.clone());
        for document in documents {
            match document {
                Ok(document) => {
                    let file = File { source: source.clone(), is_builtin };
                    self.documents.push((document, file));
                }
                Err(issue) => self.issues.push(issue),
            }
        }
    }

    /// The API groups whose objects the files' expressions may be about: `""` for the core, `*` for
    /// all of them.
    pub fn api_groups(&self) -> BTreeSet<String> {
        let policies = self.documents.iter().filter_map(|(document, file)| match document {
            Document::Policy(policy) if !file.is_builtin => policy.spec.match_constraints.as_ref(),
            _ => None,
        });
        let rules = policies.flat_map(|it| &it.resource_rules);
        rules.flat_map(|rule| rule.api_groups.iter().cloned()).collect()
    }

    /// Compiles them. With the kinds of a cluster, a field that no object of a policy's constraints
    /// has is an error, and a resource that nobody serves a warning.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn compile(self, kinds: &Kinds) -> Result<Compiled, Vec<Issue>> {
        let Self { now, documents, mut texts, observe, issues } = self;
        let settings: Vec<_> = documents
            .iter()
            .filter_map(|(document, file)| match document {
                Document::Settings(settings) => Some((settings.as_ref(), file)),
                _ => None,
            })
            .collect();
        let mut compiler = Compiler {
            now,
            kinds,
            settings: &settings,
            observe,
            issues,
            pack: Pack::default(),
            names: HashMap::new(),
            guarded: BTreeSet::new(),
        };
        compiler.check_document_names(&documents);
        for (document, file) in &documents {
            if let Document::Policy(policy) = document {
                compiler.policy(policy, file);
            }
        }
        // Settings and exceptions name rules, so all rules come first.
        compiler.check_settings();
        for (document, file) in &documents {
            if let Document::Exception(exception) = document {
                compiler.exception(exception, file);
            }
        }
        // Exceptions first: a rule that one takes back leaves others to speak.
        compiler.warn_of_unreachable(&documents);
        compiler.check_rules();
        let Compiler { mut pack, issues, guarded, .. } = compiler;
        pack.digest = digest(&mut texts);
        pack.finish(guarded);
        let (warnings, errors): (Vec<_>, Vec<_>) =
            issues.into_iter().partition(|issue| issue.is_warning);
        if errors.is_empty() { Ok(Compiled { pack, warnings }) } else { Err(errors) }
    }
}

/// Of all files, in whatever order they were read.
fn digest(texts: &mut [String]) -> String {
    texts.sort();
    let mut hash = Sha256::new();
    for text in texts {
        // The length before each: two files never read like one.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let hex = hex::encode(hash.finalize());
    format!("sha256:{hex}")
}
