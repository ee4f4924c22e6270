//! What the cluster's objects look like, for the checker of policies.

use std::{collections::BTreeSet, sync::Arc};

use policy::{Documents, Kinds};
use upstream::{ControlClient, OwnError};

use crate::error::SourceError;

/// The kinds of a cluster, read again when its documents change.
pub struct ClusterKinds {
    own: ControlClient,
    /// The addresses of documents, and what they say.
    last: (BTreeSet<String>, Arc<Kinds>),
}

impl ClusterKinds {
    /// Nothing is read yet.
    pub fn new(own: ControlClient) -> Self {
        Self { own, last: (BTreeSet::new(), Arc::default()) }
    }

    /// The kinds that these policies may be about.
    ///
    /// # Errors
    /// Where the API server does not tell.
    pub async fn read_for(&mut self, documents: &Documents) -> Result<Arc<Kinds>, SourceError> {
        let groups = documents.api_groups();
        if groups.is_empty() {
            return Ok(Arc::default());
        }
        let openapi =
            self.own.openapi().await.map_err(failed("its OpenAPI documents cannot be listed"))?;
        let addresses = openapi.addresses(&groups);
        if addresses != self.last.0 {
            let mut read = Vec::new();
            for address in &addresses {
                let document = self.own.read(address).await;
                read.push(document.map_err(failed(&format!("cannot read {address}")))?);
            }
            let kinds = blocking(move || Ok(Kinds::read(openapi.groups, &read))).await;
            self.last = (addresses, Arc::new(kinds.map_err(SourceError::Interrupted)?));
        }
        Ok(Arc::clone(&self.last.1))
    }
}

fn failed(what: &str) -> impl FnOnce(OwnError) -> SourceError {
    let what = what.to_owned();
    move |source| SourceError::Kinds { what, source }
}

/// Does work that takes a thread for a while; a panic in it is its error.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}
